package core

import (
	"context"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// The requests to the goroutine that owns the lifecycle.
type (
	advanceRequest struct {
		pidFile   *pidfile.File // nil without one
		paths     []func()      // remove the paths of unix sockets that are not used any more
		again     bool          // the old process was asked for one more upgrade
		probation time.Duration // how long the old process can take the service back
		reply     chan error
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
	trial   *trial            // the next generation is on probation

	probation *probation      // this generation is
	aborted   <-chan struct{} // closed when the old process takes the service back; nil without one
	cuts      int             // how many of the older generations were asked to end

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
		case req := <-u.rejects:
			req.reply <- l.reject(req.err)
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
		case f := <-l.words():
			l.heard(f)
		case <-l.silence():
			l.lost()
		case <-l.trial.beats():
			l.beatTrial()
		case <-l.trial.ends():
			l.trialDue()
		case <-l.trial.givenUp():
			l.rollBack(context.Cause(l.trial.asked))
		case gone := <-u.sentBack:
			l.restorePIDFile(gone)
		case v := <-u.verdicts:
			l.passed(v)
		case <-l.aborted:
			l.recalled()
		case <-l.probation.givesUp():
			l.settle()
		case <-u.aging:
			l.aged()
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
func (u *Upgrader) cutShort(why string) {
	u.cutOnce.Do(func() {
		u.cutWhy = why
		close(u.cut)
	})
}

// words is what the next generation says.
func (l *lifecycle) words() <-chan wire.Frame {
	if l.next == nil {
		return nil
	}
	return l.next.talk.words
}

// silence is closed when the next generation can't be heard any more, if that matters.
func (l *lifecycle) silence() <-chan struct{} {
	if l.trial == nil {
		return nil
	}
	return l.next.talk.silent
}

// advance makes this process the current generation.
func (l *lifecycle) advance(req advanceRequest) error {
	if l.State() != StateStarting {
		return ErrStopped
	}
	l.setState(StateCurrent)
	if p := l.inherited.parent; p != nil {
		l.seenOff, l.aborted = make(chan struct{}), p.aborted
	}
	l.probation = &probation{paths: req.paths}
	if req.probation == 0 {
		l.settle()
	}
	close(l.accepting)
	if req.pidFile != nil {
		if err := req.pidFile.Commit(); err != nil {
			l.log.Error("the pid file does not name this process", "error", err)
		}
	}
	args := []any{"addresses", l.listeners.addresses()}
	if p := l.inherited.parent; p != nil {
		args = append(args, "old_pid", p.pid(), "plain", p.plain(), "probation", req.probation)
	}
	l.log.Info("current", args...)
	l.aged()
	l.pending = req.again
	if l.probation == nil {
		l.upgradeAgain()
	}
	return nil
}

// upgrade starts an attempt, or refuses. A signal, whose sender can't be told
// anything, is remembered once while an attempt runs.
func (l *lifecycle) upgrade(req upgradeRequest) {
	var err error
	switch l.State() {
	case StateCurrent:
		if l.probation == nil {
			l.setState(StateUpgrading)
			l.asker = req.reply
			l.attempt = l.begin(req.ctx)
			return
		}
		if req.reply == nil {
			// After a rollback it is the old process that has to do it.
			_ = l.inherited.parent.say(wire.Again, nil)
			l.pending = true
			return
		}
		err = ErrInProgress
	case StateUpgrading, StateProbation:
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
		l.cutShort("a second stop was asked for")
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
	if l.probation != nil && l.stopOnProbation(req) {
		return
	}
	cause := req.err
	l.cause = cause
	if l.trial != nil {
		l.confirm() // the service is the next generation's
		return
	}
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
	err, gone := res.err, res.next
	if err == nil {
		err, gone = l.admit(res.next), nil
	}
	if err == nil {
		l.handOver(a, res.next, asker)
	} else {
		l.upgradeFailed(err, gone)
		if l.heldStop {
			l.stopNow(stopRequest{})
		}
		if asker != nil {
			asker <- upgradeReply{err: err} // last: who asked finds the new state
		}
	}
	l.heldStop, l.doubt = false, nil
}

// admit reports why a new process that said ready can't take over after all: a stop
// came first, which is for the service, or the process is no more.
func (l *lifecycle) admit(next *successor) error {
	err := ErrStopped
	if l.State() == StateUpgrading {
		if !next.vanished() {
			return nil
		}
		err = &StartError{Path: next.path, PID: next.pid(), Reason: "it was ready, and then was not there", Err: errHungUp}
	}
	go func() {
		next.abort(err.Error(), l.cfg.stopTime())
		next.release()
		l.sendBack(next)
	}()
	return err
}

// handOver leaves the service to next, on probation or for good. The listeners are
// closed before it is told: once it says that it is current, it alone accepts.
func (l *lifecycle) handOver(a *attempt, next *successor, asker chan upgradeReply) {
	r := Result{PID: next.pid(), Generation: l.generation + 1, Took: time.Since(a.began), Plain: next.plain}
	if l.cfg.probation > 0 && next.tries {
		l.beginTrial(a, next, asker, r)
		return
	}
	l.next = next
	m := l.prepareMove(next, 1) // before anybody is told to reconnect
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
	l.tell(next, m, wire.CommitMsg{DrainMillis: l.cfg.drainTimeout.Milliseconds(), Again: l.pending})
	l.upgraded(r, asker)
}

// tell tells next that it is current, and lets connections move to it.
func (l *lifecycle) tell(next *successor, m *mover, msg wire.CommitMsg) {
	if err := next.commit(msg); err != nil {
		l.log.Warn("the new process was not told that it is current", "error", err)
	}
	if !next.plain {
		go next.talk.listen(next.ctl)
	}
	if m != nil {
		m.start()
	}
}

// upgraded is the good end of an upgrade.
func (l *lifecycle) upgraded(r Result, asker chan upgradeReply) {
	l.aged()
	l.log.Info("upgraded", "new_pid", r.PID, "took", r.Took, "plain", r.Plain)
	if asker != nil {
		asker <- upgradeReply{result: r}
	}
}

// prepareMove makes the mover, if connections can move to next.
func (l *lifecycle) prepareMove(next *successor, share float64) *mover {
	if !l.cfg.handoff {
		return nil
	}
	m := newMover(next, l.conns, share, l.log)
	if m != nil {
		l.conns.mover.Store(m)
	}
	return m
}

// upgradeFailed goes back to serving, as if nothing had been tried. The new process, if
// there was one that has ended, is gone.
func (l *lifecycle) upgradeFailed(err error, gone *successor) {
	if errors.Is(err, errTermWasAStop) {
		l.stopSignal(syscall.SIGTERM)
	}
	if l.State() != StateUpgrading {
		l.log.Info("upgrade given up: this process stops", "error", err)
		return
	}
	l.setState(StateCurrent)
	l.log.Error("upgrade failed; this process serves on", logFailed(err)...)
	if gone != nil {
		l.restorePIDFile(gone)
	}
	l.upgradeAgain()
}

// upgradeAgain does the one upgrade more that was asked for during another one.
func (l *lifecycle) upgradeAgain() {
	if l.pending {
		l.pending = false
		l.log.Info("an upgrade was asked for during the last one")
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
	replaced := s == StateDraining
	listeners := l.listeners.finish()
	if replaced {
		closeAll(listeners, l.next == nil)
		l.bidFarewell()
	}
	drained := make(chan error, 1)
	l.drained = drained
	go func() {
		if !replaced {
			sweep(listeners)
			closeAll(listeners, true)
			l.bidFarewell()
		}
		drained <- l.runDrain(replaced)
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
		l.next.talk.mute()
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
