package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/core/supervise"
)

// The requests to the goroutine that owns the lifecycle.
type (
	upgradeRequest struct {
		ctx    context.Context
		leave  bool              // the foreign master, too
		change launchChange      // in the start of the new process
		reply  chan upgradeReply // nil for a signal
	}
	upgradeReply struct {
		result Result
		err    error
	}
)

// lifecycle is what only the owning goroutine touches.
type lifecycle struct {
	u     *Upgrader
	cfg   *config
	log   *slog.Logger
	phase *phase

	outgoing   *outgoing   // the handover to a new process; nil without one
	givenUp    []*outgoing // to processes that have not ended yet
	leavers    int         // processes that are seen out
	explaining int         // rollbacks whose reason is being found out
	pending    bool        // a signal came meanwhile: one upgrade more afterwards

	incoming  incoming // the handover from the old process
	cutBefore int      // generations before this one were asked to end

	stopping stopping
	drainer  *drainer   // nil before the drain begins
	drained  chan error // the drain's result; nil before it begins
	drainErr error
	ended    bool // the drain has ended

	signals  chan os.Signal
	stops    stopCount
	hungUp   bool                // the terminal was closed
	embedded *supervise.Embedded // supervises the service from inside this process; nil if it does not

	manager *sdnotify.Service
	taken   *sdnotify.Service // the manager of a service whose main process was the foreign master; nil otherwise
}

func newLifecycle(u *Upgrader) *lifecycle {
	return &lifecycle{u: u, cfg: &u.cfg, log: u.log, phase: u.phase}
}

// run owns the lifecycle of the process until it is done.
func (u *Upgrader) run(signals chan os.Signal, stopSignals func()) {
	l := newLifecycle(u)
	l.signals = signals
	l.manager = u.boot.manager(u.log)
	l.incoming.machine.Gone = u.hasNoOld()
	defer l.manager.Close()
	defer stopSignals()
	for !l.drainIsOver() {
		l.tendBackground()
		l.step()
	}
	l.settle()
	for l.supervises() {
		l.step()
	}
	l.end()
}

// step waits for the next event, and does what follows from it.
func (l *lifecycle) step() {
	var impatient chan struct{}
	if l.stopping.delay != nil {
		impatient = l.phase.cut
	}
	select {
	case f := <-l.u.inbox:
		f(l)
	case sig := <-l.signals:
		l.signal(sig)
	case <-l.stopping.delay:
		l.beginDrain(StateStopping)
	case <-impatient:
		l.beginDrain(StateStopping)
	case <-l.stopping.doubt:
		l.doubtEnds()
	case f := <-l.outgoing.frames():
		l.heard(f)
	case <-l.outgoing.silent():
		l.lost()
	case <-l.outgoing.beats():
		l.beatProbation()
	case <-l.outgoing.ends():
		l.probationDue()
	case <-l.outgoing.canceled():
		l.canceled()
	case <-l.outgoing.looks():
		l.looked()
	case <-l.incoming.ownTime():
		l.ownTime()
	case <-l.incoming.givesUp():
		l.beginStop(l.stopping.req)
	case <-l.manager.Beats():
		l.manager.Beat()
	case <-l.manager.Extends():
		l.manager.Extend(l.u.remaining())
	case l.drainErr = <-l.drained:
		l.ended = true
	case <-l.embedded.Over():
	}
}

// drainIsOver reports whether this process has nothing left to do for its own clients, and for the others.
func (l *lifecycle) drainIsOver() bool {
	busy := l.starting() != nil || l.leavers > 0 || l.explaining > 0 || l.stopping.hooksLeft > 0
	return l.ended && !busy && !l.awaitsOlder()
}

// supervises reports whether this process supervises a service that has not ended.
func (l *lifecycle) supervises() bool { return l.embedded != nil && !isClosed(l.embedded.Over()) }

func (l *lifecycle) state() State { return l.u.State() }

func (l *lifecycle) setState(s State) {
	l.u.conns.TimeIdle(s > StateCurrent)
	l.phase.state.Store(uint32(s))
	if s == StateCurrent {
		go offMainThread(l.u.socket.admit) // a file system can hold it up
	}
	if s >= StateDraining {
		l.u.pid.release()
	}
	l.stand()
}

// stand tells the supervisor where this process stands.
func (l *lifecycle) stand() {
	l.u.link().Stand(wire.StandMsg{
		Generation: l.u.generation, State: uint8(l.state()),
		Clean:   l.stopping.cause == nil && isClosed(l.phase.accepting),
		WayBack: l.hands(handover.OldDraining), Works: !l.u.background.over(),
	})
}

func (l *lifecycle) signal(sig os.Signal) {
	if a := l.starting(); sig == syscall.SIGTERM && a != nil && a.mayBePlain() {
		// A program that speaks only the plain protocol says "ready" this way.
		a.noteTerm()
		return
	}
	stop := slices.Contains(l.cfg.signals.Stop, sig)
	switch {
	case len(l.cfg.signals.Stop) > 0 && hungUpTerminal(sig):
		if l.hungUp { // the kernel and the shell both say it
			return
		}
		l.log.Info("the terminal was closed: this is a stop")
		l.hungUp, sig, stop = true, l.cfg.signals.stop(), true
		l.stopping.unheard = sig
	case stop || sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGQUIT:
		l.stopping.heard = true // by the program, too
	}
	switch {
	case l.embedded != nil && (l.u.next != nil || slices.Contains(l.cfg.signals.forService(), sig)):
		l.embedded.Signal(sig.(syscall.Signal)) // it comes back if it is for this process
	case stop && l.stops.repeated(l.u.link(), false):
	default:
		l.around(sig)
	}
}

// act does what a signal means.
func (l *lifecycle) act(sig os.Signal) {
	s := l.cfg.signals
	switch {
	case l.u.boot.master() != nil && sig == l.u.boot.master().Retire:
		l.log.Info("signal: make room", "signal", sig.String())
		l.retire(l.u.boot.master())
	case slices.Contains(s.Upgrade, sig):
		l.log.Info("signal: upgrade", "signal", sig.String())
		l.upgrade(upgradeRequest{ctx: context.Background()})
	case slices.Contains(s.Stop, sig):
		l.stopSignal(sig)
	case slices.Contains(s.Reopen, sig):
		l.log.Info("signal: reopen", "signal", sig.String())
		go l.u.reopen()
	}
}

// beginDrain stops accepting for good and starts the drain.
func (l *lifecycle) beginDrain(s State) { l.startDrain(s, nil) }

// startDrain starts the drain. Nobody is told to leave before this process accepts no more: a
// client that comes back at once would find itself in the queue of a listener that is about to be
// closed. With an outgoing handover, whose new process has the listeners too, there is a way back: those that
// this process serves itself stay open, and paused.
func (l *lifecycle) startDrain(s State, h *outgoing) {
	l.stopping.delay = nil
	l.u.background.end()
	began := time.Now()
	if l.cfg.drainTimeout < timing.Unlimited { // first: whoever sees that this process drains looks at it
		l.phase.deadline.Store(began.Add(l.cfg.drainTimeout).UnixMilli())
	}
	l.setState(s)
	if s == StateStopping {
		l.manager.Stopping(l.u.remaining(), l.cfg.drainTimeout)
		l.sayStops()
		l.cutWithService()
	}
	l.u.servers.mu.Lock() // no server is added from here on
	l.phase.draining.Store(true)
	l.u.servers.mu.Unlock()
	replaced := s == StateDraining
	leaves := replaced && l.u.next != nil && l.u.boot.master() != nil
	var listeners []*listener
	var sockets []*PacketConn
	if h != nil {
		l.u.passing.refuse()
		l.closeForGood(h)
		l.u.sayGoodbye()
	} else {
		l.phase.endLife()
		all := l.u.passing.finish()
		listeners, sockets = only[*listener](all), only[*PacketConn](all)
		forget(only[*namedFile](all))
		if replaced {
			closeAll(listeners, l.u.next == nil)
			go endReading(sockets, l.u.next)
			l.u.sayGoodbye()
		}
	}
	l.noteBeginsDrain(replaced)
	d := newDrainer(l.u, began, replaced, h)
	if d.stays = replaced && l.embedded != nil; d.stays {
		l.hearForService()
	}
	drained := make(chan error, 1)
	l.drainer, l.drained = d, drained
	go func() {
		if !replaced {
			l.u.link().Release()
			sweep(listeners, sockets)
			closeAll(listeners, true)
			l.u.sayGoodbye()
		}
		err := d.run()
		if !errors.Is(err, errTakenBack) {
			if leaves {
				l.u.dismissMaster(l.u.boot.master(), d.deadline)
			}
			l.u.runEndHooks()
		}
		drained <- err
	}()
}

// noteBeginsDrain tells that this process accepts no more.
func (l *lifecycle) noteBeginsDrain(replaced bool) {
	step := control.StepStopping
	if replaced {
		step = control.StepDraining
	}
	left := l.u.remaining()
	open := left.Connections + left.Hijacked
	l.u.noteDrain(step, left.String(), open, open)
}

// manyConns is how many connections are not told to leave all at once.
const manyConns = 256

// sayGoodbye asks clients and streams to leave from here on.
func (u *Upgrader) sayGoodbye() {
	u.phase.asksToLeave.Store(true)
	gap := time.Duration(0)
	if u.conns.Count() > manyConns {
		gap = min(timing.GoodbyeGap, u.cfg.drainTimeout/1000)
	}
	u.phase.goodbye.Begin(gap)
}

// settle is what is said and done when the drain has ended.
func (l *lifecycle) settle() {
	if l.u.next != nil {
		l.u.next.Frames.Mute() // nobody takes words from here on, and the answer to what leaveOlder says is behind them
		l.leaveOlder()
		l.tellReturned() // nothing may have happened since
		l.u.teller.finish()
		l.u.next.Stderr.End()
		l.u.next.Stderr.Wait(l.forLastLines())
		l.u.next.Drained() // from here on the new process waits for the end of this one, and not for long
	} else {
		l.u.teller.finish()
	}
	if l.endsService() {
		l.u.pid.remove(l.u.servicePID())
	}
	for _, p := range l.u.before() {
		p.HangUp()
	}
	l.phase.err = l.stopping.cause
	if l.phase.err == nil {
		l.phase.err = l.drainErr
	}
	l.setState(StateStopped)
	l.u.events.end()
	if isClosed(l.phase.accepting) {
		l.log.Info("generation ended", "ledger", l.u.ledger())
	}
	l.u.socket.finish()
	if l.embedded != nil {
		l.goOnAsSupervisor()
	}
}

// forLastLines is how long this process waits, before its end, for its stderr to take what the new one has written: for no
// longer than its drain might have taken.
func (l *lifecycle) forLastLines() time.Duration {
	left := time.Until(l.drainer.deadline)
	return max(timing.LastLines/10, min(left, timing.LastLines))
}

// end is the last thing that happens in the life of an Upgrader.
func (l *lifecycle) end() {
	if l.u.next != nil {
		l.cfg.signals.swallow(l.cfg.hookedSignals())
		signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM) // it hurries a main that waits for it, and kills none
	}
	if l.embedded != nil && l.phase.err == nil && l.embedded.Code() != 0 {
		l.phase.err = fmt.Errorf("%w: the last process of the service ended with exit status %d", ErrStopped, l.embedded.Code())
	}
	if !isClosed(l.phase.goesOn) {
		close(l.phase.goesOn)
	}
	l.u.pid.end()
	close(l.phase.done)
	l.wakeMain()
	if l.embedded != nil {
		l.endSupervisor()
	}
}

// endsService reports whether the pid file may go with this process, which under a supervisor names that
// one as long as another worker serves. Otherwise it has its number, and is left alone with another one.
func (l *lifecycle) endsService() bool {
	if l.u.link() == nil {
		return true // after a handover too: this one may have been held up before it wrote there
	}
	serves := l.u.next != nil || l.incoming.machine.Phase == handover.NewRolledBack && !l.incoming.machine.Gone && !l.u.hasNoOld()
	return !serves
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
