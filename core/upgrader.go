package core

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/logging"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/tickets"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// running is this process's Upgrader. Whoever makes one holds making.
var (
	running atomic.Pointer[Upgrader]
	making  sync.Mutex
)

// Upgrader runs the servers of one process and hands them over to the next generation. A process
// has one Upgrader at a time. Make it with New. Any goroutine may call its methods.
//
// ListenAndServe, Serve and Run make an Upgrader themselves. Use it directly for several servers,
// unix sockets and accept loops of your own.
type Upgrader struct {
	cfg        config
	log        *slog.Logger
	sys        system
	boot       *startup // what the process was started with
	supervisor atomic.Pointer[peer.Link]
	release    *spawn.Release
	ownRelease string // the name of the release that this process's program came from; empty outside a layout
	generation int

	inherited *inheritance // from the old process
	passing   passing      // to the next generation
	keeping   sync.Mutex   // held while the supervisor is given what is passed
	servers   servers
	runs      runs
	conns     *conns.Table
	moving    movingListeners
	tickets   *tickets.Keys
	socket    *controlSocket // the operator's; nil without one
	pid       *pidKeeper     // nil without a pid file
	outside   outside
	last      atomic.Pointer[control.LastUpgrade] // nil if none is known
	measure   measure

	// What is told of the service, to those who follow it and to other processes.
	events     events
	eventHooks *eventHooks
	books      books
	teller     teller
	checking   atomic.Bool                 // a check is in progress, which is no upgrade
	silent     bool                        // this process is only checked
	newOnes    sync.Map                    // each *peer.Next that was started and has not ended
	oldPartner atomic.Pointer[partner]     // the old process, as long as it is told of this one; else nil
	upgrade    atomic.Pointer[upgradeName] // whose events come now; nil for none
	room       atomic.Int64                // how many more connections this process takes over
	unknown    unknownLimits

	phase      *phase
	ready      func() error          // Ready, once
	inbox      chan func(*lifecycle) // see post
	hookRuns   chan hookRun          // signals whose hooks are to run
	older      olderProcesses
	background background
	ending     sync.Once     // of endMain
	seenOff    chan struct{} // closed when the old process has drained or is gone; nil without one

	// The generation that took over; the lifecycle's. Its handover socket stays open
	// as long as this process lives, which tells it that main has not returned yet.
	next *peer.Next
}

// Result describes an upgrade that worked.
type Result struct {
	PID        int           // of the new process, which is current now
	Generation int           // of the new process
	Took       time.Duration // from the request until the new process was ready
	Plain      bool          // the new process speaks only the plain protocol
	Version    string        // of the new process, see WithVersion; empty if unknown
}

// New makes the Upgrader of this process and takes over the sockets that an old process passed.
// It handles signals from then on. It returns ErrRunning if the process has an Upgrader already.
// It returns ErrNotInherited if the process claims to be the new process of an upgrade and is
// not. It returns ErrAborted if it is the new process and has failed before.
func New(opts ...Option) (*Upgrader, error) { return newUpgrader(&boot, realSystem, opts) }

func newUpgrader(boot *startup, sys system, opts []Option) (*Upgrader, error) {
	making.Lock()
	defer making.Unlock()
	switch old := running.Load(); {
	case old == nil:
	case !isClosed(old.phase.done):
		return nil, ErrRunning
	case old.inherited.old != nil && !old.inherited.committed.Load():
		return nil, because(ErrAborted, errors.New("this process has failed to become ready, so it can't serve any more"))
	}
	cfg := newConfig(opts)
	if err := cmp.Or(boot.modeErr, boot.superviseErr, cfg.signalErr, cfg.workDirErr, cfg.trustedErr, cfg.operatorsErr); err != nil {
		return nil, err
	}
	if err := boot.refuseSecond(cfg.pidFile, logging.Readable(cfg.log)); err != nil {
		return nil, err
	}
	h, waiting, err := beforeNew.take()
	if err != nil {
		return nil, err
	}
	u := &Upgrader{
		cfg:        cfg,
		sys:        sys,
		boot:       boot,
		release:    boot.launch.Look(),
		ownRelease: releaseName(spawn.OwnRelease()),
		generation: h.generation,
		inherited:  h,
		phase:      newPhase(),
		inbox:      make(chan func(*lifecycle), inboxRoom),
		hookRuns:   make(chan hookRun, maxHookRuns),
	}
	u.books.open(h.generation, h.totals)
	u.teller.u = u
	u.conns = conns.NewTable(u.phase.goodbye)
	u.tickets = tickets.New(u.mayRotateTickets)
	u.ready = sync.OnceValue(u.getReady)
	u.inherited.committed.Store(h.old == nil)
	u.log = logging.Readable(u.cfg.log).With("generation", u.generation, "own_pid", os.Getpid())
	u.conns.LogTo(u.log)
	u.eventHooks = newEventHooks(cfg.onEvent, u.log)
	boot.logDoubts(u.log)
	if boot.envErr != nil {
		u.log.Debug("the environment of the start can't be read from the kernel, and that of core's initialization is passed on", "error", boot.envErr)
	}
	go u.eventHooks.run(u.phase.done)
	go u.teller.run(u.phase.done)
	u.silent = h.old != nil && h.old.Check
	if old := h.old; old != nil && old.Attempt != "" {
		u.upgrade.Store(&upgradeName{old.Attempt, old.Context})
	}
	u.happened(Event{Step: control.StepStarting, Time: startedAt, PID: os.Getpid(), Text: stepTexts[control.StepStarting]})
	u.linkTo(boot.link)
	u.link().Join(wire.StandMsg{Generation: u.generation, State: uint8(StateStarting)}, u.askedBySupervisor, u.othersReturned)
	for _, l := range waiting {
		l.bind(u)
	}
	if h.old != nil {
		go u.followOld(h.old)
	}
	if u.link() != nil {
		go u.watchSupervisor()
	}
	if m := boot.master(); m != nil {
		u.cfg.signals = u.cfg.signals.under(m)
		if m.Leads {
			go u.watchMaster(m)
		}
	}
	u.pid = keepPIDFile(u.cfg.pidFile, u.log)
	u.openControlSocket()
	signals, stopSignals := u.cfg.signals.notify(u.cfg.hookedSignals())
	if len(u.cfg.onSignal) > 0 {
		go u.runSignalHooks()
	}
	running.Store(u)
	u.socket.serve()
	go u.run(signals, stopSignals)
	return u, nil
}

// Listen returns the listener for (network, address) that the old process handed over, or opens a
// new one. The network is "tcp", "tcp4", "tcp6" or "unix". Port 0 keeps the port that the first
// generation was given. Accept waits for Ready. The next generation gets the listener too, unless
// it is closed before.
func (u *Upgrader) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return u.listen(network, address, opening(ctx, network, address))
}

// ListenFD returns the listener for descriptor s, which another program, such as a service
// manager or a shell, opened and passed to the first generation. The next generation gets it
// under the same number s. The descriptor itself is closed. The path of a unix socket belongs to
// the program that made it, and stays after a stop.
func (u *Upgrader) ListenFD(s int) (net.Listener, error) {
	return u.listen(networkFD, strconv.Itoa(s), func(*inheritance) (net.Listener, error) { return u.boot.openFD(s) })
}

func (u *Upgrader) listen(network, address string, open opener) (net.Listener, error) {
	if u.State() > StateProbation {
		return nil, ErrStopped
	}
	l, err := u.claimAndBind(network, address, open)
	if err != nil {
		return nil, err
	}
	u.keepListeners()
	u.log.Debug("listening", "network", network, "address", l.Addr().String(), "inherited", l.inherited)
	return l, nil
}

// claimAndBind makes a listener that is this Upgrader's. One that is open and nobody's would be taken for
// the program's own (outsiders).
func (u *Upgrader) claimAndBind(network, address string, open opener) (*listener, error) {
	u.inherited.mu.Lock()
	defer u.inherited.mu.Unlock()
	l, err := u.inherited.claimOr(open, network, address)
	if err != nil {
		return nil, err
	}
	if !l.bind(u) {
		_ = l.close(true)
		return nil, ErrStopped
	}
	return l, nil
}

// Serve serves srv on ln and returns when the drain has ended. It returns nil after a graceful
// stop and after a handover, and ErrCut if a stop has cut work. It does not call Ready. A listener that
// did not come from Listen is handed over too if it has a descriptor. The next generation gets it
// by Listen with its address. net.Listen there fails, because the address is in use.
//
// Serve reads the settings of srv once. Shutdown and Close of srv stop the process gracefully and
// return when the drain has ended, even if Shutdown's context ends first. So a handler must not
// wait for them. Hooks of srv's RegisterOnShutdown run when a drain begins, or with the program's
// own Shutdown.
func (u *Upgrader) Serve(srv *http.Server, ln net.Listener) error {
	if err := u.Attach(srv, ln); err != nil {
		return err
	}
	return u.wait()
}

// Attach is like Serve but does not wait. It returns when srv is set up.
func (u *Upgrader) Attach(srv *http.Server, ln net.Listener) error {
	return u.attached(givenServer{srv: srv}, ln)
}

// AttachTLS is like Attach for HTTPS. It returns when the certificates have been read. The file
// names may be empty if srv.TLSConfig has the certificates.
func (u *Upgrader) AttachTLS(srv *http.Server, ln net.Listener, certFile, keyFile string) error {
	return u.attached(givenServer{srv: srv, useTLS: true, certFile: certFile, keyFile: keyFile}, ln)
}

func (u *Upgrader) attached(s givenServer, ln net.Listener) error {
	err := u.attach(s, ln)
	if err == nil || errors.Is(err, ErrStopped) {
		return err
	}
	err = wrap("serve "+ln.Addr().String(), err)
	u.servers.fail(err) // Ready must not say that all is well
	return err
}

// Upgrade starts the program again and hands over to it. It returns a Result when the new process
// has passed its probation and this one drains. Otherwise this process serves on, and the error
// is ErrVetoed, ErrTimeout, a *StartError, ErrRolledBack or the context's error. If ctx ends, the
// upgrade is given up, and on probation it is rolled back.
//
// Upgrade is refused with ErrNotReady, ErrInProgress, ErrStopped or ErrUnsupported. A process
// that is on probation itself returns ErrInProgress.
func (u *Upgrader) Upgrade(ctx context.Context) (Result, error) {
	return u.requestUpgrade(ctx, false, launchChange{})
}

// UpgradeTo is like Upgrade, for a release that is not the one which the next start gets. The program was started as
// DIR/current/PROGRAM, or by a symlink that leads there, and current is a symlink to a directory in DIR/releases.
// UpgradeTo executes DIR/releases/NAME/PROGRAM. The release is the name of a directory, and not a path.
//
// The launch path, the arguments and the environment stay what they are, and so does the name of the working directory.
// A working directory behind current is its place in the release. So a later upgrade, and a supervisor after a crash,
// start what current leads to then. Switch it when UpgradeTo has returned nil: as long as the release is not proven, a
// crash starts the one before it (docs/start.md).
//
// It is refused with ErrNoRelease if there is no such directory, or the program was not started like this, and with
// ErrUnsupported under a foreign master, and if a script is at the launch path. A program that can't be executed is a
// *StartError.
func (u *Upgrader) UpgradeTo(ctx context.Context, release string) (Result, error) {
	if err := noRelease(spawn.CheckName(release)); err != nil {
		u.refused(err)
		return Result{}, err
	}
	return u.requestUpgrade(ctx, false, launchChange{release: release})
}

func (u *Upgrader) requestUpgrade(ctx context.Context, leave bool, change launchChange) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, wrap("upgrade", ctx.Err())
	}
	req := upgradeRequest{ctx: ctx, leave: leave, change: change, reply: make(chan upgradeReply, 1)}
	u.post(func(l *lifecycle) { l.upgrade(req) })
	r, ok := awaitReply(u, req.reply) // the attempt ends with ctx
	if !ok {
		return Result{}, ErrStopped
	}
	return r.result, r.err
}

// Stop stops the process gracefully. It first waits for the pre-stop delay. Then this process
// accepts no more connections, and has the drain timeout to finish its work. Stop returns nil
// when that is done. It returns ErrCut if work was cut, by the timeout or because ctx ended, so
// ctx must last for both. A second Stop waits for the first.
//
// In a process that has handed over it does not stop the service. One that supervises the next process
// (docs/supervise.md) waits there for the end of the service, also if ctx ends.
func (u *Upgrader) Stop(ctx context.Context) error {
	if isClosed(u.phase.mainEnds) {
		return nil // what main has deferred does not wait for the service
	}
	u.requestStop(stopRequest{})
	select {
	case <-u.phase.done:
	case <-ctx.Done():
		u.post(func(l *lifecycle) { l.cutService("the context of Stop has ended") })
		<-u.phase.done
	}
	return u.phase.err
}

// Done returns a channel that is closed when the drain has ended, after a stop or a handover.
// Main should return then.
func (u *Upgrader) Done() <-chan struct{} { return u.phase.done }

// Err returns nil while Done is open. After that it returns the same as Serve.
func (u *Upgrader) Err() error {
	if !isClosed(u.phase.done) {
		return nil
	}
	return u.phase.err
}

// link is the line to the supervisor; nil without one.
func (u *Upgrader) link() *peer.Link { return u.supervisor.Load() }

// linkTo makes l the line to the supervisor, which may be nil.
func (u *Upgrader) linkTo(l *peer.Link) {
	u.supervisor.Store(l)
	if l == nil {
		return
	}
	p := &partner{hears: hearsSum, gone: l.Gone, say: func(msg wire.AccountMsg) error { return l.Say(wire.Account, msg, nil) }}
	noted := func() { u.teller.hears(p) }
	l.Noted.Store(&noted)
	u.teller.add(p)
}

// wait returns when the process should end. Main's goroutine does not come back if the process has something else
// to do then.
func (u *Upgrader) wait() error {
	onMain := isMain()
	if onMain {
		u.phase.mainWaits.Store(true)
	}
	select {
	case <-u.phase.done:
	case <-u.phase.mainEnds:
		if onMain {
			runtime.Goexit() // what main has deferred runs
		}
		<-u.phase.done
	}
	return u.phase.err
}

// Draining returns a channel that is closed when this generation begins to drain. Accept loops
// and streams of the program say goodbye then. If the new process ends while this one drains,
// this one serves again (docs/drain.md), and from then on Draining returns another channel. A
// program that keeps state for as long as it does not drain calls Draining for each request.
func (u *Upgrader) Draining() <-chan struct{} { return u.phase.goodbye.Channel() }

// Draining returns a channel that is closed when the generation that serves the request with this
// context begins to drain. Handlers of streams and of hijacked connections should then say
// goodbye, or call Handoff. They are cut at the deadline. For any other context the channel is
// that of this process's Upgrader. It is nil, which is never ready, before an Upgrader is made.
func Draining(ctx context.Context) <-chan struct{} {
	if c, ok := ctx.Value(connKey{}).(*conns.Conn); ok {
		return c.Draining()
	}
	if u := running.Load(); u != nil {
		return u.phase.goodbye.Channel()
	}
	return nil
}
