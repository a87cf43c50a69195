package core

import (
	"errors"
	"os"
	"time"
)

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

// stopSignal: the first one stops or, when this generation drains already, is
// only noted; the second one ends the pre-stop delay, or else cuts the drain short.
func (l *lifecycle) stopSignal(sig os.Signal) {
	if l.stopping && superseded(boot.master()) { // start_server says it at each reload, to all that are left
		l.log.Debug("signal: stop, once more by the master", "signal", sig.String())
		return
	}
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
	if superseded(boot.master()) {
		l.retire(boot.master())
		return
	}
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
	if l.probation != nil {
		l.stopOnProbation(req)
		return
	}
	cause := req.err
	l.cause = cause
	switch {
	case l.trial != nil && ofMaster():
		l.rollBack(errMasterFirst)
	case l.trial != nil:
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
		l.manager.stops(l.conns.remaining(), l.cfg.stopTime())
		l.log.Info("not ready any more; still accepting", "pre_stop_delay", d)
		l.preStop = time.After(d)
		return
	}
	l.beginDrain(StateStopping)
}
