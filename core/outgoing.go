package core

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// outgoing is a handover to one new process, as the old one sees it. What happens goes to
// handover.Old, which decides; the lifecycle carries out what that answers. It is the
// lifecycle's alone.
type outgoing struct {
	machine handover.Old
	attempt *attempt
	next    *peer.Next        // nil until the attempt has a result, or if nothing was started
	passed  []passable        // what next got
	asker   chan upgradeReply // who waits for the outcome; nil for a signal
	began   time.Time         // when it was asked for
	change  launchChange      // that was asked for
	name    *upgradeName      // of its events
	result  Result            // valid once next is ready
	err     error             // why next is given up
	leaves  bool              // next is being seen out

	toldReturned bool // next was told that no background work of this process runs, so that its own may
	returned     bool // next has said so of its own

	oldProbation
}

// hands reports whether the handover in progress is in one of the phases.
func (l *lifecycle) hands(phases ...handover.OldPhase) bool {
	return l.outgoing != nil && slices.Contains(phases, l.outgoing.machine.Phase)
}

// starting is the attempt that has no result yet; nil without one.
func (l *lifecycle) starting() *attempt {
	if l.outgoing == nil {
		return nil
	}
	return l.outgoing.attempt
}

// begin starts an attempt.
func (l *lifecycle) begin(req upgradeRequest) {
	l.setState(StateUpgrading)
	l.manager.Reloading(l.u.generation)
	for _, h := range l.givenUp {
		l.stepOutgoing(h, handover.Another)
	}
	h := &outgoing{asker: req.reply, attempt: newAttempt(l.u, req), began: time.Now(), change: req.change}
	h.name = &h.attempt.name
	l.outgoing = h
	l.stepOutgoing(h, handover.Started)
	go func() {
		res := h.attempt.result()
		l.u.post(func(l *lifecycle) { l.attemptEnded(h, res) })
	}()
}

// stepOutgoing takes an event of a handover to its decision, and carries that out.
func (l *lifecycle) stepOutgoing(h *outgoing, e handover.OldEvent) {
	was := h.machine.Phase
	next, effects := h.machine.Step(e)
	h.machine = next
	if next.Phase == handover.OldGivenUp && was > handover.OldStarting && was != next.Phase {
		l.disengage(h)
	}
	for _, effect := range effects {
		l.carryOut(h, effect)
	}
}

func (l *lifecycle) carryOut(h *outgoing, effect handover.OldEffect) {
	switch effect {
	case handover.Pause:
		l.pause(h)
	case handover.SayCommit:
		l.commit(h, l.cfg.probation)
	case handover.SayCommitForGood:
		l.commit(h, 0)
	case handover.SayPing:
		_ = h.next.Say(wire.Ping, nil, timing.Say) // its end is heard
	case handover.SayConfirm:
		h.again = l.pending
		_ = h.next.Say(wire.Confirm, wire.CommitMsg{DrainMillis: l.cfg.drainTimeout.Milliseconds(), Again: h.again}, timing.Say)
	case handover.Drain:
		l.leaveTo(h)
		l.startDrain(StateDraining, h)
		h.watch()
	case handover.Close:
		l.u.pid.discard()
		if l.drainer != nil {
			l.closeWay(h)
			return
		}
		l.leaveTo(h)
		l.startDrain(StateDraining, nil)
	case handover.Resume:
		l.resume(h)
	case handover.NamePID:
		l.u.pid.name(l.u.servicePID())
	case handover.SayAbort:
		l.sayAbort(h, false)
	case handover.SayAbortStop:
		l.sayAbort(h, true)
	case handover.Kill:
		if h.killed {
			return // its end is about to be heard
		}
		h.killed = true
		l.log.Error("the new process does not answer, and may have the service: it is killed", "new_pid", h.next.PID())
		h.next.Kill()
	case handover.ReportUpgraded:
		l.upgraded(h)
	case handover.ReportRolledBack:
		l.reportRolledBack(h)
	case handover.ReportTakenBack:
		l.reportTakenBack(h)
	case handover.StopService:
		if !l.stopping.telling { // else it follows
			l.stopNow(l.stopping.req)
		}
	}
}

// attemptEnded takes the result of an attempt.
func (l *lifecycle) attemptEnded(h *outgoing, res attemptResult) {
	a := h.attempt
	h.attempt, h.next, h.passed, h.err = nil, res.next, a.passed, res.err
	a.cancel(nil)
	if res.err == nil || errors.Is(res.err, errChecked) {
		h.result = Result{PID: res.next.PID(), Generation: l.u.generation + 1, Took: time.Since(a.began), Plain: res.next.Plain, Version: text.Cut(res.next.Said().Version, text.MaxVersion)}
		if res.next.Vanished() {
			h.err = &StartError{Path: res.next.Path, PID: res.next.PID(), Reason: "it was ready, and then was not there", Err: errHungUp}
		}
	}
	l.taken = sdnotify.ServiceAt(a.service, l.log)
	switch {
	case res.next == nil:
		l.gone(h)
	case h.err != nil:
		if errors.Is(h.err, errChecked) {
			l.u.note(control.StepReady, res.next.PID())
		}
		l.stepOutgoing(h, handover.Failed)
		l.seeOut(h) // whoever has told it
	case h.machine.Stopping:
		h.err = ErrStopped
		l.stepOutgoing(h, handover.Ready)
	case l.stopping.hooked && !l.stopping.signaled: // the hooks of a stop run: the service is about to stop
		h.err = ErrStopped
		l.stepOutgoing(h, handover.Failed)
		l.seeOut(h)
	case l.state() != StateUpgrading: // the old process serves again
		h.err = ErrStopped
		l.stepOutgoing(h, handover.Failed)
	case res.next.Plain:
		l.handOverToPlain(h)
	default:
		l.u.note(control.StepReady, res.next.PID())
		h.asked, h.committed = a.asked, time.Now()
		if l.cfg.probation > 0 && h.next.Said().Probation {
			l.stepOutgoing(h, handover.Ready)
		} else {
			l.stepOutgoing(h, handover.ReadyForGood)
		}
	}
	held := l.stopping.held
	l.stopping.held, l.stopping.doubt = false, nil
	if held {
		l.stopNow(stopRequest{})
	}
}

// handOverToPlain leaves the service to a process that speaks only the plain protocol: by its
// signal it accepts already, and it says no word that could end a way back.
func (l *lifecycle) handOverToPlain(h *outgoing) {
	h.machine.Phase = handover.OldReleased
	l.u.note(control.StepReady, h.next.PID())
	l.u.next = h.next
	h.next.Frames.Mute()
	l.startDrain(StateDraining, nil)
	// It does not know the pid file; a supervisor reads it all the same. Before the
	// next word: a generation after it, which waits for that, may know the file.
	pid := h.next.PID()
	if l.u.link() != nil {
		pid = l.u.servicePID()
	}
	l.u.pid.nameOther(pid)
	l.u.socket.unlink() // it will not answer there
	h.next.Stderr.Relay()
	l.handsOver(h)
	h.next.Disown()
	l.upgraded(h)
}

// leaveTo is the end of a probation that was passed.
func (l *lifecycle) leaveTo(h *outgoing) {
	l.endOldProbation(h)
	h.next.Passed = true
	if h.probation > 0 {
		l.u.note(control.StepConfirmed, h.result.PID)
	}
	if l.pending && !h.again { // a signal has come since confirm was said
		_ = h.next.Say(wire.Again, nil, timing.Say)
	}
	l.pending = false
	l.handsOver(h)
	if h.mover != nil {
		h.mover.Widen() // before anybody is told to reconnect
	}
}

// handsOver tells the service manager that the service is the new process's. Its main process stays this one if
// that supervises.
func (l *lifecycle) handsOver(h *outgoing) {
	pid := h.next.Serves()
	if l.embedded != nil {
		pid = os.Getpid()
	}
	cmp.Or(l.manager, l.taken).HandedOver(pid, h.result.Generation, len(l.u.olderGenerations())+1)
}

// disengage has the service without a next process again: h is no handover any more.
func (l *lifecycle) disengage(h *outgoing) {
	l.endOldProbation(h)
	h.endWatch()
	if h.mover != nil {
		h.mover.Retire()
	}
	l.outgoing, l.u.next = nil, nil
	l.u.keepBooks(h.next)
	l.givenUp = append(l.givenUp, h)
}

// sayAbort tells a new process to go, and sees it out. stop says that the service stops.
func (l *lifecycle) sayAbort(h *outgoing, stop bool) {
	next := h.next
	if h.attempt != nil { // the attempt's result follows
		next = h.attempt.process.Load()
		h.attempt.cancel(ErrStopped)
	}
	if next == nil {
		return
	}
	why := cmp.Or[error](h.err, ErrStopped)
	if next.Say(wire.Abort, wire.AbortMsg{ReasonMsg: wire.Because(why.Error()), Stop: stop}, timing.Say) == nil {
		next.Told.Store(true)
	}
	if h.next != nil {
		l.seeOut(h)
	}
}

// seeOut waits for the end of a new process that was told to go.
func (l *lifecycle) seeOut(h *outgoing) {
	if h.leaves {
		return
	}
	h.leaves = true
	l.leavers++
	failed := errors.Is(h.err, errSaidFailed)
	go func() {
		if failed {
			h.next.EndsWithin(timing.Kill) // by itself
		}
		h.next.SeeOut(l.cfg.stopTime(), l.phase.finished, func(f wire.Frame) {
			l.u.post(func(l *lifecycle) { l.heardFromGivenUp(h, f) })
		}, func() { l.u.post(func(l *lifecycle) { l.restorePIDFile(h.next) }) })
		l.u.post(func(l *lifecycle) {
			l.leavers--
			l.gone(h)
		})
	}()
}

// heardFromGivenUp is a word of a new process that is seen out.
func (l *lifecycle) heardFromGivenUp(h *outgoing, f wire.Frame) {
	switch f.Type {
	case wire.Settled:
		l.log.Info("the new process has had the service, and was asked to stop it", "new_pid", h.next.PID())
		l.stepOutgoing(h, handover.Settled)
	case wire.Returned:
		h.returned = true
	case wire.Again:
		l.pending = true
		if l.state() == StateCurrent && l.explaining == 0 {
			l.upgradeAgain()
		}
	}
}

// gone hears that a new process which was given up has ended, or that there was none.
func (l *lifecycle) gone(h *outgoing) {
	l.stepOutgoing(h, handover.Gone)
	if h.change.check {
		defer l.u.checking.Store(false)
	}
	if h.next != nil {
		l.u.nextIsGone(h.next)
	}
	if l.outgoing != h { // it was current, and what has become of it was reported
		l.log.Debug("the new process is gone", "new_pid", h.next.PID())
		l.givenUp = slices.DeleteFunc(l.givenUp, func(x *outgoing) bool { return x == h })
		l.restorePIDFile(h.next)
		return
	}
	l.outgoing = nil
	if errors.Is(h.err, errChecked) && l.state() == StateUpgrading {
		l.checkPassed(h)
		return
	}
	pid := 0
	if h.next != nil {
		l.u.passing.restore()
		h.err, pid = l.u.explain(h.next, h.err), h.next.PID()
	}
	l.u.concluded(upgradeReply{err: h.err}, pid, h)
	l.upgradeFailed(h)
	if h.asker != nil {
		h.asker <- upgradeReply{err: h.err} // last: who asked finds the new state
	}
}

// upgraded is the good end of an upgrade.
func (l *lifecycle) upgraded(h *outgoing) {
	r, asker := h.result, h.asker
	l.olderChanged()
	l.u.concluded(upgradeReply{result: r}, r.PID, h)
	l.log.Info("upgraded", "new_pid", r.PID, "took", r.Took, "plain", r.Plain)
	l.u.events.end()
	if asker != nil {
		asker <- upgradeReply{result: r}
	}
}
