package core

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
)

// The requests to the goroutine that owns the lifecycle.
type (
	advanceRequest struct {
		pidFile *pidfile.File // nil without one
		paths   []func()      // remove the paths of unix sockets that are not used any more
		again   bool          // the old process was asked for one more upgrade
		reply   chan error
	}
	upgradeRequest struct {
		ctx   context.Context
		reply chan upgradeReply // nil for a signal
	}
	upgradeReply struct {
		result Result
		err    error
	}
	stopRequest struct {
		err error // why; nil for a clean stop
		now bool  // there is nothing that could go on for the pre-stop delay
	}
)

// lifecycle is what only the owning goroutine touches.
type lifecycle struct {
	*Upgrader
	attempt *attempt          // the upgrade in progress; nil without one
	asker   chan upgradeReply // who waits for it; nil for a signal
	pending bool              // a signal came meanwhile: one more afterwards

	preStop  <-chan time.Time // the end of the pre-stop delay; nil without one
	stopping bool             // a stop signal was seen: the next one is impatient
	heldStop bool             // see holdStop
	doubt    <-chan time.Time // the end of the wait for a SIGTERM; nil without one
	cause    error            // why the process stops; nil for a clean stop
	drained  chan error       // the drain's result; nil before it begins
	drainErr error
	ended    bool // the drain has ended
}

// run owns the lifecycle of the process until it is done.
func (u *Upgrader) run(signals chan os.Signal, stopSignals func()) {
	l := &lifecycle{Upgrader: u}
	defer stopSignals()
	for !l.ended || l.attempt != nil {
		var attempted chan attemptResult
		if l.attempt != nil {
			attempted = l.attempt.result
		}
		var impatient chan struct{}
		if l.preStop != nil {
			impatient = l.cut
		}
		select {
		case req := <-u.advances:
			req.reply <- l.advance(req)
		case req := <-u.upgrades:
			l.upgrade(req)
		case req := <-u.stops:
			l.stop(req)
		case sig := <-signals:
			l.signal(sig)
		case res := <-attempted:
			l.attemptEnded(res)
		case <-l.preStop:
			l.beginDrain(StateStopping)
		case <-impatient:
			l.beginDrain(StateStopping)
		case <-l.doubt:
			l.doubtEnds()
		case l.drainErr = <-l.drained:
			l.ended = true
		}
	}
	l.end()
}

func (u *Upgrader) setState(s State) { u.state.Store(uint32(s)) }

// requestStop asks for a stop.
func (u *Upgrader) requestStop(req stopRequest) {
	select {
	case u.stops <- req:
	case <-u.done:
	}
}

// cutShort ends the drain now.
func (u *Upgrader) cutShort() { u.cutOnce.Do(func() { close(u.cut) }) }

// advance makes this process the current generation.
func (l *lifecycle) advance(req advanceRequest) error {
	if l.State() != StateStarting {
		return ErrStopped
	}
	l.setState(StateCurrent)
	l.committed.Store(true)
	if l.inherited.parent != nil {
		l.seenOff = make(chan struct{})
	}
	close(l.accepting)
	for _, remove := range req.paths {
		remove()
	}
	if req.pidFile != nil {
		if err := req.pidFile.Commit(); err != nil {
			l.log.Error("the pid file does not name this process", "error", err)
		}
	}
	args := []any{"addresses", l.listeners.addresses()}
	if p := l.inherited.parent; p != nil {
		args = append(args, "old_pid", p.pid(), "plain", p.plain())
	}
	l.log.Info("current", args...)
	if req.again {
		l.log.Info("an upgrade was asked for during the last one")
		l.upgrade(upgradeRequest{ctx: context.Background()})
	}
	return nil
}

// upgrade starts an attempt, or refuses. A signal, whose sender can't be told
// anything, is remembered once while an attempt runs.
func (l *lifecycle) upgrade(req upgradeRequest) {
	var err error
	switch l.State() {
	case StateCurrent:
		l.setState(StateUpgrading)
		l.asker = req.reply
		l.attempt = l.begin(req.ctx)
		return
	case StateUpgrading:
		if req.reply == nil {
			l.pending = true
			return
		}
		err = ErrInProgress
	case StateStarting:
		err = ErrNotReady
	default:
		err = ErrStopped
	}
	if req.reply != nil {
		req.reply <- upgradeReply{err: err}
		return
	}
	args := []any{"error", err, "state", l.State().String()}
	if l.next != nil {
		args = append(args, "current_pid", l.next.pid())
	}
	l.log.Warn("upgrade refused", args...)
}

func (l *lifecycle) signal(sig os.Signal) {
	s := l.cfg.signals
	switch {
	case sig == syscall.SIGTERM && l.attempt != nil && l.attempt.mayBePlain():
		// A program that speaks only the plain protocol says "ready" this way.
		l.attempt.noteTerm()
	case slices.Contains(s.Upgrade, sig):
		l.log.Info("signal: upgrade", "signal", sig.String())
		l.upgrade(upgradeRequest{ctx: context.Background()})
	case slices.Contains(s.Stop, sig):
		l.stopSignal(sig)
	case slices.Contains(s.Reopen, sig):
		l.log.Info("signal: reopen", "signal", sig.String())
		go l.reopen()
	}
}

// stopSignal: the first one stops or, when this generation drains already, is
// only noted; the second one ends the pre-stop delay, or else cuts the drain short.
func (l *lifecycle) stopSignal(sig os.Signal) {
	if l.stopping && l.preStop != nil {
		l.log.Warn("second stop signal: the pre-stop delay ends", "signal", sig.String())
		l.beginDrain(StateStopping)
		return
	}
	if l.stopping {
		l.log.Warn("second stop signal: the drain is cut short", "signal", sig.String())
		l.cutShort()
		return
	}
	l.stopping = true
	l.log.Info("signal: stop", "signal", sig.String(), "state", l.State().String())
	l.stopNow(stopRequest{})
}

// stop is asked for by the program, or by what is broken.
func (l *lifecycle) stop(req stopRequest) {
	if !req.now && l.holdStop() {
		return
	}
	l.stopNow(req)
}

// holdStop reports whether a stop has to wait. A plain new process says that it is
// ready by a SIGTERM, and a program that handles that signal itself answers it with a
// call of Shutdown or Stop; the two come in any order.
func (l *lifecycle) holdStop() bool {
	switch {
	case l.attempt == nil || !l.attempt.termed && !l.attempt.mayBePlain():
		return false
	case !l.attempt.termed && l.doubt == nil:
		l.doubt = time.After(exitGrace)
	}
	l.heldStop = true
	return true
}

// doubtEnds: no SIGTERM came, so the stop is one.
func (l *lifecycle) doubtEnds() {
	l.doubt = nil
	if l.heldStop && (l.attempt == nil || !l.attempt.termed) {
		l.heldStop = false
		l.stopNow(stopRequest{})
	}
}

// stopNow begins the drain of a process that has no successor, after the pre-stop
// delay. An upgrade in progress is given up.
func (l *lifecycle) stopNow(req stopRequest) {
	before := l.State()
	if before >= StateDraining && (l.preStop == nil || !req.now) {
		return
	}
	cause := req.err
	l.cause = cause
	if l.attempt != nil {
		l.attempt.cancel(ErrStopped)
	}
	if before < StateCurrent {
		if cause == nil {
			cause = errors.New("it was stopped before it was ready")
		}
		l.tellFailed(cause)
	}
	if d := l.cfg.preStopDelay; d > 0 && !req.now && before >= StateCurrent {
		l.setState(StateStopping)
		l.log.Info("not ready any more; still accepting", "pre_stop_delay", d)
		l.preStop = time.After(d)
		return
	}
	l.beginDrain(StateStopping)
}

func (l *lifecycle) attemptEnded(res attemptResult) {
	a, asker := l.attempt, l.asker
	l.attempt, l.asker = nil, nil
	a.cancel(nil)
	reply := upgradeReply{err: res.err}
	if reply.err == nil {
		reply.err = l.admit(res.next)
	}
	if reply.err == nil {
		reply.result = l.handOver(res.next, time.Since(a.began))
	} else {
		l.upgradeFailed(reply.err)
		if l.heldStop {
			l.stopNow(stopRequest{})
		}
	}
	l.heldStop, l.doubt = false, nil
	if asker != nil {
		asker <- reply // last: who asked finds the new state
	}
}

// admit reports why a new process that said ready can't take over after all: a stop
// came first, which is for the service, or the process is no more.
func (l *lifecycle) admit(next *successor) error {
	err := ErrStopped
	if l.State() == StateUpgrading {
		if !next.hungUp() {
			return nil
		}
		err = &StartError{Path: next.path, PID: next.pid(), Reason: "it was ready, and then was not there", Err: errHungUp}
	}
	go func() {
		next.abort(err.Error(), l.cfg.stopTime())
		next.release()
	}()
	return err
}

// handOver leaves the service to next. The listeners are closed before it is told:
// once it says that it is current, it alone accepts.
func (l *lifecycle) handOver(next *successor, took time.Duration) Result {
	l.next = next
	m := l.prepareMove(next) // before anybody is told to reconnect
	l.beginDrain(StateDraining)
	if next.plain && l.cfg.pidFile != "" {
		// It does not know the file; a supervisor reads it all the same. Before the
		// next word: a generation after it, which waits for that, may know the file.
		if err := pidfile.Write(l.cfg.pidFile, next.pid()); err != nil {
			l.log.Error("the pid file still names this process", "error", err)
		}
	}
	if next.plain {
		next.stderr.relay()
	}
	if err := next.commit(l.cfg.drainTimeout, l.pending); err != nil {
		l.log.Warn("the new process was not told that it is current", "error", err)
	}
	if m != nil {
		m.start()
	}
	r := Result{PID: next.pid(), Generation: l.generation + 1, Took: took, Plain: next.plain}
	l.log.Info("upgraded", "new_pid", r.PID, "took", r.Took, "plain", r.Plain)
	return r
}

// prepareMove makes the mover, if connections can move to next.
func (l *lifecycle) prepareMove(next *successor) *mover {
	if !l.cfg.handoff {
		return nil
	}
	m := newMover(next, l.conns, l.log)
	if m != nil {
		l.conns.mover.Store(m)
	}
	return m
}

// upgradeFailed goes back to serving, as if nothing had been tried.
func (l *lifecycle) upgradeFailed(err error) {
	if errors.Is(err, errTermWasAStop) {
		l.stopSignal(syscall.SIGTERM)
	}
	if l.State() != StateUpgrading {
		l.log.Info("upgrade given up: this process stops", "error", err)
		return
	}
	l.log.Error("upgrade failed; this process serves on", logFailed(err)...)
	l.setState(StateCurrent)
	if l.pending {
		l.pending = false
		l.upgrade(upgradeRequest{ctx: context.Background()})
	}
}

// beginDrain stops accepting and starts the drain. Nobody is told to leave before the
// listeners are closed: a client that comes back at once would find itself in the
// queue of a listener that is about to be.
func (l *lifecycle) beginDrain(s State) {
	l.preStop = nil
	l.setState(s)
	l.serverMu.Lock() // no server is added from here on
	l.conns.drains.Store(true)
	l.draining.Store(true)
	l.serverMu.Unlock()
	l.endLife()
	handover := s == StateDraining
	listeners := l.listeners.finish()
	if handover {
		closeAll(listeners, false)
		l.bidFarewell()
	}
	drained := make(chan error, 1)
	l.drained = drained
	go func() {
		if !handover {
			sweep(listeners)
			closeAll(listeners, true)
			l.bidFarewell()
		}
		drained <- l.runDrain(handover)
	}()
}

// bidFarewell asks clients and streams to leave from here on.
func (u *Upgrader) bidFarewell() {
	u.farewell.Store(true)
	close(u.drain)
}

// end is the last thing that happens in the life of an Upgrader.
func (l *lifecycle) end() {
	if l.next != nil {
		l.next.drained()
		l.next.stderr.end()
		l.next.stderr.wait()
	} else if l.cfg.pidFile != "" {
		if err := pidfile.Remove(l.cfg.pidFile, os.Getpid()); err != nil {
			l.log.Warn("the pid file could not be removed", "error", err)
		}
	}
	if p := l.inherited.parent; p != nil && p.ctl != nil {
		_ = p.ctl.Close()
	}
	l.err = l.cause
	if l.err == nil {
		l.err = l.drainErr
	}
	l.setState(StateStopped)
	if isClosed(l.accepting) {
		l.log.Info("generation ended", "ledger", l.Stats())
	}
	close(l.done)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
