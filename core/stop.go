package core

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// stopping is the stop of this process, or what of one is not decided yet. The zero stopping is that
// of a process which goes on.
type stopping struct {
	req       stopRequest      // that was asked for
	cause     error            // why the process stops; nil for a clean stop
	delay     <-chan time.Time // the end of the pre-stop delay; nil without one
	signaled  bool             // a stop signal was seen: the next one is impatient
	heard     bool             // ... by main, too, if it wants to
	unheard   os.Signal        // by which the service stops, and that this process has not got; nil for none
	telling   bool             // new processes are told of it
	held      bool             // see holdStop
	doubt     <-chan time.Time // the end of the wait for a SIGTERM; nil without one
	hooked    bool             // the hooks of a stop signal run, or have
	cutWhy    string           // why it is cut short; empty if it is not
	hurry     chan struct{}    // closed to wait for them no longer; nil if there are none
	hooksLeft int              // signals whose hooks have not all run
}

// stopRequest is what a stop is asked for with.
type stopRequest struct {
	err error // why; nil for a clean stop
	now bool  // there is nothing that could go on for the pre-stop delay
	all bool  // the operator wants the service to stop, whichever process has it
}

// requestStop asks for a stop.
func (u *Upgrader) requestStop(req stopRequest) { u.post(func(l *lifecycle) { l.stop(req) }) }

// cutShort ends the drain now.
func (u *Upgrader) cutShort(why string) {
	u.phase.cutOnce.Do(func() {
		u.phase.cutWhy = why
		close(u.phase.cut)
	})
}

// stopSignal does what a stop signal means. The first one stops or, when this generation drains already, is
// only noted; the second one ends the pre-stop delay, or else cuts the drain short.
func (l *lifecycle) stopSignal(sig os.Signal) {
	if l.stopping.signaled && superseded(l.u.boot.master()) { // start_server says it at each reload, to all that are left
		l.log.Debug("signal: stop, once more by the master", "signal", sig.String())
		return
	}
	if l.stopping.signaled && l.stopping.delay != nil {
		l.log.Warn("second stop signal: the pre-stop delay ends", "signal", sig.String())
		l.beginDrain(StateStopping)
		return
	}
	if l.stopping.signaled {
		l.log.Warn("second stop signal: the drain is cut short", "signal", sig.String())
		l.cutService("a second stop was asked for")
		return
	}
	l.stopping.signaled = true
	l.log.Info("signal: stop", "signal", sig.String(), "state", l.state().String())
	if superseded(l.u.boot.master()) {
		l.retire(l.u.boot.master())
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
	case !a.termed && l.stopping.doubt == nil:
		l.stopping.doubt = time.After(timing.Exit)
	}
	l.stopping.held = true
	return true
}

// doubtEnds stops this process: no SIGTERM came, so the stop is one.
func (l *lifecycle) doubtEnds() {
	l.stopping.doubt = nil
	if a := l.starting(); l.stopping.held && (a == nil || !a.termed) {
		l.stopping.held = false
		l.stopNow(stopRequest{})
	}
}

// stopNow stops this process. Where another one has the service, or a part in it, that is told
// first: each of the two may be killed at any time.
func (l *lifecycle) stopNow(req stopRequest) {
	if l.embedded != nil && l.u.next != nil && req.err == nil && (req.all || l.state() < StateDraining) {
		l.embedded.Stop() // by the next one. What has drained is only cleaned up by its program
		return
	}
	before := l.state()
	if before >= StateDraining && (l.stopping.delay == nil || !req.now) {
		if l.hands(handover.OldDraining) {
			l.stepOutgoing(l.outgoing, handover.Stop)
		}
		return
	}
	l.stopping.req = req
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
	l.stopping.telling = true
	defer func() { l.stopping.telling = false }()
	for _, h := range slices.Clone(l.givenUp) {
		l.stepOutgoing(h, handover.Stop)
	}
	h := l.outgoing
	if h == nil {
		return false
	}
	if l.hands(handover.OldProbation) && l.u.ofMaster() {
		h.err = errMasterFirst
		l.stepOutgoing(h, handover.Canceled)
	}
	serves := l.hands(handover.OldProbation, handover.OldAsked)
	if serves {
		l.stopping.cause = req.err
	}
	l.stepOutgoing(h, handover.Stop)
	return serves
}

// agreesToStop reports whether the old process has no word in a stop. One that is broken on
// probation asks it to serve, and waits for its word, but not for ever.
func (l *lifecycle) agreesToStop(req stopRequest) bool {
	e := handover.Asked
	if req.err != nil {
		e, l.incoming.why = handover.Broken, req.err
	}
	if l.stepIncoming(e) {
		l.endNewProbation()
		l.incoming.broken = false
		return true
	}
	if !l.incoming.broken {
		l.incoming.broken, l.incoming.giveUp = true, time.After(timing.Word)
	}
	if l.incoming.unsaid != nil { // there is nobody who could answer
		l.incoming.giveUp = time.After(0)
	}
	return false
}

// beginStop begins the drain of a process that has no next process, after the pre-stop
// delay. An upgrade in progress is given up.
func (l *lifecycle) beginStop(req stopRequest) {
	before := l.state()
	if before >= StateDraining && (l.stopping.delay == nil || !req.now) {
		return
	}
	l.incoming.broken, l.incoming.giveUp = false, nil
	cause := req.err
	l.stopping.cause = cause
	if a := l.starting(); a != nil {
		a.cancel(ErrStopped)
	}
	if before < StateCurrent {
		if cause == nil {
			cause = errors.New("it was stopped before it was ready")
		}
		l.u.tellFailed(cause)
	}
	if d := l.cfg.preStopDelay; d > 0 && !req.now && before >= StateCurrent {
		l.setState(StateStopping)
		l.manager.Stopping(l.u.remaining(), l.cfg.stopTime())
		l.log.Info("not ready any more; still accepting", "pre_stop_delay", d)
		l.stopping.delay = time.After(d)
		return
	}
	l.beginDrain(StateStopping)
}
