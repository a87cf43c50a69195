package core

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
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
	switch a := l.starting(); {
	case a == nil || !a.termed && !a.mayBePlain():
		return false
	case !a.termed && l.doubt == nil:
		l.doubt = time.After(exitGrace)
	}
	l.heldStop = true
	return true
}

// doubtEnds: no SIGTERM came, so the stop is one.
func (l *lifecycle) doubtEnds() {
	l.doubt = nil
	if a := l.starting(); l.heldStop && (a == nil || !a.termed) {
		l.heldStop = false
		l.stopNow(stopRequest{})
	}
}

// stopNow stops this process. Where another one has the service, or a part in it, that is told
// first: each of the two may be killed at any time.
func (l *lifecycle) stopNow(req stopRequest) {
	before := l.State()
	if before >= StateDraining && (l.preStop == nil || !req.now) {
		if l.hands(handover.OldDraining) {
			l.give(l.handing, handover.Stop)
		}
		return
	}
	l.stopReason = req
	if !l.agreesToStop(req) {
		return
	}
	if l.tellsNext(req) {
		return // the service is the next generation's, whose answer begins the drain
	}
	l.beginStop(req)
}

// tellsNext tells all new processes that this one stops, and reports whether one of them has the
// service.
func (l *lifecycle) tellsNext(req stopRequest) bool {
	l.tellsStop = true
	defer func() { l.tellsStop = false }()
	for _, h := range slices.Clone(l.givenUp) {
		l.give(h, handover.Stop)
	}
	h := l.handing
	if h == nil {
		return false
	}
	if l.hands(handover.OldTrial) && ofMaster() {
		h.err = errMasterFirst
		l.give(h, handover.Canceled)
	}
	serves := l.hands(handover.OldTrial, handover.OldAsked)
	if serves {
		l.cause = req.err
	}
	l.give(h, handover.Stop)
	return serves
}

// agreesToStop reports whether the old process has no word in a stop. One that is broken on
// probation asks it to serve, and waits for its word, but not for ever.
func (l *lifecycle) agreesToStop(req stopRequest) bool {
	e := handover.Asked
	if req.err != nil {
		e, l.taking.why = handover.Broken, req.err
	}
	if l.take(e) {
		l.endProbation()
		l.taking.broken = false
		return true
	}
	if !l.taking.broken {
		l.taking.broken, l.taking.giveUp = true, time.After(parentWait)
	}
	if l.taking.unsaid != nil { // there is nobody who could answer
		l.taking.giveUp = time.After(0)
	}
	return false
}

// beginStop begins the drain of a process that has no successor, after the pre-stop
// delay. An upgrade in progress is given up.
func (l *lifecycle) beginStop(req stopRequest) {
	before := l.State()
	if before >= StateDraining && (l.preStop == nil || !req.now) {
		return
	}
	l.taking.broken, l.taking.giveUp = false, nil
	cause := req.err
	l.cause = cause
	if a := l.starting(); a != nil {
		a.cancel(ErrStopped)
	}
	if before < StateCurrent {
		if cause == nil {
			cause = errors.New("it was stopped before it was ready")
		}
		l.tellFailed(cause)
	}
	if d := l.cfg.preStopDelay; d > 0 && !req.now && before >= StateCurrent {
		l.setState(StateStopping)
		l.manager.Stopping(l.conns.remaining(), l.cfg.stopTime())
		l.log.Info("not ready any more; still accepting", "pre_stop_delay", d)
		l.preStop = time.After(d)
		return
	}
	l.beginDrain(StateStopping)
}
