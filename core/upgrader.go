package core

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"

	"github.com/gracex-go/gracex/core/internal/peer"
)

// running is this process's Upgrader. Whoever makes one holds making.
var (
	running atomic.Pointer[Upgrader]
	making  sync.Mutex
)

// Upgrader runs the servers of one process and hands them over to the next
// generation. There is one in a process at a time. Make it with New; all its
// methods may be called by any goroutine.
//
// ListenAndServe, Serve and Run make one themselves; use it directly for several
// servers, unix sockets and accept loops of your own.
type Upgrader struct {
	cfg        config
	log        *slog.Logger
	sys        system
	boot       *startup // what the process was started with
	generation int

	inherited *inheritance // from the old process
	passing   passing      // to the next generation
	servers   servers
	conns     *conns.Table
	socket    *controlSocket // the operator's; nil without one
	watchers  watchers       // of an upgrade
	room      atomic.Int64   // how many more connections this process takes over

	phase    *phase
	ready    func() error          // Ready, once
	inbox    chan func(*lifecycle) // see post
	hookRuns chan hookRun          // signals whose hooks are to run
	seenOff  chan struct{}         // closed when the old process has drained or is gone; nil without one

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
	Version    string        // of the new process, as WithVersion says; empty: not known
}

// New makes the Upgrader of this process and takes over what an old process
// handed to it. It returns ErrRunning if there is one already, ErrNotInherited if the
// process claims to be an upgrade's new process and is not, and ErrAborted if it is
// one and has failed before. Signals are handled from here on.
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
	if err := cmp.Or(boot.modeErr, cfg.superviseErr, cfg.signalErr); err != nil {
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
		generation: h.generation,
		inherited:  h,
		phase:      newPhase(),
		inbox:      make(chan func(*lifecycle), inboxRoom),
		hookRuns:   make(chan hookRun, maxHookRuns),
	}
	u.conns = conns.NewTable(u.phase.goodbye)
	u.ready = sync.OnceValue(u.getReady)
	u.inherited.committed.Store(h.old == nil)
	u.log = u.cfg.log.With("generation", u.generation, "pid", os.Getpid())
	boot.link.Stand(u.generation, uint8(StateStarting), false, false)
	for _, l := range waiting {
		l.bind(u)
	}
	if h.old != nil {
		go u.followOld(h.old)
	}
	if boot.link != nil {
		go u.watchSupervisor()
	}
	if m := boot.master(); m != nil {
		u.cfg.signals = u.cfg.signals.under(m)
		if m.Leads {
			go u.watchMaster(m)
		}
	}
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

// State returns where this process stands.
func (u *Upgrader) State() State { return State(u.phase.state.Load()) }

// Listen returns the listener for (network, address) that the old process
// handed over, or opens a new one; network is "tcp", "tcp4", "tcp6" or "unix".
// Port 0 keeps the port that the first generation was given. Accept on it waits
// for Ready. The next generation gets it too, unless it is closed before.
func (u *Upgrader) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return u.listen(network, address, func() (net.Listener, error) { return open(ctx, network, address) })
}

// ListenFD returns the listener for descriptor s, which some other program opened
// and passed to the first generation: a service manager, a shell. The next
// generation gets it under the same number s. The descriptor itself is closed; the
// path of a unix socket is its owner's, and stays after a stop.
func (u *Upgrader) ListenFD(s int) (net.Listener, error) {
	return u.listen(networkFD, strconv.Itoa(s), func() (net.Listener, error) { return openFD(s) })
}

func (u *Upgrader) listen(network, address string, open func() (net.Listener, error)) (net.Listener, error) {
	if u.State() > StateProbation {
		return nil, ErrStopped
	}
	u.inherited.mu.Lock()
	l, err := u.inherited.claimOr(open, network, address)
	u.inherited.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !l.bind(u) {
		_ = l.close(true)
		return nil, ErrStopped
	}
	u.keepListeners()
	u.log.Debug("listening", "network", network, "address", l.Addr().String(), "inherited", l.inherited)
	return l, nil
}

// Serve serves srv on ln and returns when the drain has ended: nil after a clean
// stop and after a handover, ErrCut if work was cut. It does not say Ready. A
// listener that did not come from Listen is handed over too if it has a
// descriptor; the next generation gets it by Listen with its address, and not by
// net.Listen, for which the address is in use.
//
// srv's settings are read once, here. Its Shutdown and Close mean a graceful
// stop of the process and return when the drain has ended, however soon Shutdown's
// context does, so a handler must not wait for them; its RegisterOnShutdown hooks run
// when a drain begins, or with the program's own Shutdown.
func (u *Upgrader) Serve(srv *http.Server, ln net.Listener) error {
	if err := u.Attach(srv, ln); err != nil {
		return err
	}
	return u.wait()
}

// ServeTLS is Serve for HTTPS. The files may be empty if srv.TLSConfig has the
// certificates.
func (u *Upgrader) ServeTLS(srv *http.Server, ln net.Listener, certFile, keyFile string) error {
	if err := u.AttachTLS(srv, ln, certFile, keyFile); err != nil {
		return err
	}
	return u.wait()
}

// Attach is Serve without waiting: it returns when srv is set up.
func (u *Upgrader) Attach(srv *http.Server, ln net.Listener) error {
	return u.attached(srv, ln, false, "", "")
}

// AttachTLS is ServeTLS without waiting: it returns when srv is set up and the
// certificates have been read.
func (u *Upgrader) AttachTLS(srv *http.Server, ln net.Listener, certFile, keyFile string) error {
	return u.attached(srv, ln, true, certFile, keyFile)
}

func (u *Upgrader) attached(srv *http.Server, ln net.Listener, useTLS bool, certFile, keyFile string) error {
	err := u.attach(srv, ln, useTLS, certFile, keyFile)
	if err == nil || errors.Is(err, ErrStopped) {
		return err
	}
	err = wrap("serve "+ln.Addr().String(), err)
	u.servers.fail(err) // Ready must not say that all is well
	return err
}

// Upgrade starts the program anew and hands over to it. It returns when the new
// process has passed its probation and this one drains, or with the reason why this
// one serves on: ErrVetoed, ErrTimeout, a *StartError, ErrRolledBack, the context's
// error. The end of ctx gives the upgrade up, and on probation rolls it back. It is
// refused with ErrNotReady, ErrInProgress (also by a process that is on probation
// itself), ErrStopped or ErrUnsupported.
func (u *Upgrader) Upgrade(ctx context.Context) (Result, error) { return u.requestUpgrade(ctx, false) }

func (u *Upgrader) requestUpgrade(ctx context.Context, leave bool) (Result, error) {
	req := upgradeRequest{ctx: ctx, leave: leave, reply: make(chan upgradeReply, 1)}
	u.post(func(l *lifecycle) { l.upgrade(req) })
	r, ok := awaitReply(u, req.reply) // the attempt ends with ctx
	if !ok {
		return Result{}, ErrStopped
	}
	return r.result, r.err
}

// Stop stops gracefully: after the pre-stop delay no more connections are accepted,
// and what is left is finished until the drain timeout. It returns when that is done:
// nil, or ErrCut if work was cut, by the timeout or because ctx, which must last for
// both, ended. A second Stop waits for the first.
func (u *Upgrader) Stop(ctx context.Context) error {
	u.requestStop(stopRequest{})
	select {
	case <-u.phase.done:
	case <-ctx.Done():
		u.cutShort("the context of Stop has ended")
		<-u.phase.done
	}
	return u.phase.err
}

// Done is closed when the drain has ended after a stop or a handover: the time
// for main to return.
func (u *Upgrader) Done() <-chan struct{} { return u.phase.done }

// Err returns nil while Done is open, and then what Serve returns.
func (u *Upgrader) Err() error {
	if !isClosed(u.phase.done) {
		return nil
	}
	return u.phase.err
}

func (u *Upgrader) wait() error {
	<-u.phase.done
	return u.phase.err
}

// Draining is closed when this generation begins to drain: the time for a
// program's own accept loops and streams to say goodbye. If the new process ends while this one
// drains, this one serves again (docs/drain.md), and from then on Draining returns another channel: a
// program that keeps something for as long as it does not drain asks anew with each request.
func (u *Upgrader) Draining() <-chan struct{} { return u.phase.goodbye.Channel() }

// Draining returns a channel that is closed when the generation that serves the
// request with this context begins to drain. Handlers of streams and of hijacked
// connections should then say goodbye or HandOff; they are cut at the deadline. For
// any other context it is the channel of this process's Upgrader, and nil, which is
// never ready, before there is one.
func Draining(ctx context.Context) <-chan struct{} {
	if c, ok := ctx.Value(connKey{}).(*conns.Conn); ok {
		return c.Draining()
	}
	if u := running.Load(); u != nil {
		return u.phase.goodbye.Channel()
	}
	return nil
}
