package core

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// incoming is the handover from the old process, as the new one sees it. What happens goes to
// handover.New, which decides; the lifecycle carries out what that answers. It is the
// lifecycle's alone. Without an old process, or with one that says nothing after it has started
// this one, it is as if that had ended.
type incoming struct {
	machine   handover.New
	paths     []func()            // remove the paths of unix sockets that are not used any more
	probation time.Duration       // 0: the handover is for good
	drain     time.Duration       // how long the old process drains
	own       *time.Timer         // when this process goes on alone; nil: it does not wait
	late      int                 // how often that time was put off
	seesOff   bool                // the old process is seen off
	heard     bool                // its confirm
	waiting   []handover.NewEvent // what it has said since a commit that this process is yet to hear of
	checked   context.CancelFunc  // ends the ready checks of the probation; nil if there are none
	why       error               // of a rejection
	unsaid    error               // why the old process could not be told of it
	broken    bool                // this process stops when the old one has answered
	giveUp    <-chan time.Time    // ... or has not
}

// hasNoOld reports whether no old process can say who is to serve.
func (u *Upgrader) hasNoOld() bool { p := u.inherited.old; return p == nil || p.Plain() }

// ownTime and givesUp are channels for the lifecycle, nil when nothing is waited for.

func (t *incoming) ownTime() <-chan time.Time {
	if t.own == nil {
		return nil
	}
	return t.own.C
}

func (t *incoming) givesUp() <-chan time.Time { return t.giveUp }

// isOver reports whether an upgrade can begin: no word of the old process can cross it.
func (t *incoming) isOver() bool {
	return t.machine.Phase != handover.NewProbation && t.machine.Phase != handover.NewAlone
}

// advanceRequest makes this process the current generation.
type advanceRequest struct {
	event     handover.NewEvent // by which it is
	paths     []func()          // see incoming
	again     bool              // the old process was asked for one more upgrade
	probation time.Duration
	drain     time.Duration
}

// advance makes this process the current generation. On an error it is not.
func (l *lifecycle) advance(req advanceRequest) error {
	if l.state() != StateStarting {
		return ErrStopped
	}
	if l.u.hasNoOld() {
		l.incoming.machine.Gone = true
	}
	l.incoming.paths, l.incoming.probation, l.incoming.drain = req.paths, req.probation, req.drain
	l.pending = req.again
	l.stepIncoming(req.event)
	if !l.incoming.machine.Accepts() {
		return because(ErrAborted, errors.New(l.u.inherited.old.Reason))
	}
	if p := l.u.inherited.old; p != nil && isClosed(p.Confirmed) {
		l.oldConfirms(p.Confirm) // it came before this process knew of the commit
	}
	waiting := l.incoming.waiting
	l.incoming.waiting = nil
	for _, e := range waiting {
		l.stepIncoming(e)
	}
	return nil
}

// stepIncoming takes an event of the handover to its decision, and carries that out. It reports whether
// what was asked of this process, a stop or an upgrade, goes ahead.
func (l *lifecycle) stepIncoming(e handover.NewEvent) (goesAhead bool) {
	next, effects := l.incoming.machine.Step(e)
	l.incoming.machine = next
	for _, effect := range effects {
		switch effect {
		case handover.Accept:
			l.accept()
		case handover.NamePIDNew:
			l.namePIDFirst()
		case handover.SayConfirmed:
			l.sayOld(wire.Confirmed)
			if next.Phase == handover.NewAlone {
				l.goesOnAlone()
			}
		case handover.SayReject:
			l.u.inherited.old.KeepAlive()
			l.sayReject()
		case handover.SaySettled:
			if l.sayOld(wire.Settled) || !l.u.inherited.old.AlivePID() {
				l.u.inherited.committed.Store(true) // what was inherited is not the old one's any more
			}
		case handover.SayAgain:
			l.sayOld(wire.Again)
		case handover.Remember:
			l.remember()
		case handover.Inspect:
			l.inspect()
			l.olderChanged() // that it is gone may have been noted before its last word
		case handover.PassProbation:
			l.passProbation()
		case handover.RollBack:
			l.rolledBack()
		case handover.StopNew, handover.StartNext:
			goesAhead = true
		}
	}
	return goesAhead
}

// sayReject asks the old process to serve again. If the word can't be written, and that process is there, this one
// hangs up, which means the same.
func (l *lifecycle) sayReject() {
	p, t := l.u.inherited.old, &l.incoming
	t.unsaid = p.Say(wire.Reject, rejection(t.why))
	unheard := t.unsaid != nil && !peer.HungUp(t.unsaid) && p.AlivePID()
	if t.unsaid != nil && !unheard {
		return
	}
	l.log.Error("this version is rejected; the old process is asked to serve again", "error", t.why)
	if unheard {
		l.log.Warn("the old process can't be told so; this one hangs up instead", "old_pid", p.PID(), "error", t.unsaid)
		p.LeaveTo(t.why.Error())
		t.unsaid = nil
		if t.machine.Phase == handover.NewProbation {
			l.stepIncoming(handover.Abort) // no word of it can follow
		}
	}
}

// sayOld says a word to the old process. That it is gone is heard otherwise.
func (l *lifecycle) sayOld(t wire.Type) bool {
	err := l.u.inherited.old.Say(t, nil)
	if err != nil {
		l.log.Debug("the old process can't be told", "word", t.String(), "error", err)
	}
	return err == nil
}

// accept accepts connections from here on.
func (l *lifecycle) accept() {
	p := l.u.inherited.old
	l.setState(StateCurrent)
	if p != nil {
		l.u.seenOff = make(chan struct{})
	}
	l.u.keepListeners()
	close(l.phase.accepting)
	l.u.note(control.StepServing, os.Getpid())
	l.u.tellOld()
	l.u.lookAround()
	if !l.u.hasNoOld() && len(only[*PacketConn](l.u.passing.all())) > 0 {
		l.sayOld(wire.Serves)
	}
	if l.incoming.machine.Phase == handover.NewProbation {
		l.beginNewProbation()
	}
}

// beginNewProbation waits for the old process's word, and runs the ready checks meanwhile.
func (l *lifecycle) beginNewProbation() {
	d := l.incoming.probation
	l.incoming.own = time.NewTimer(timing.Add(d, timing.Alone))
	l.u.boot.stderr.Serves(l.u.inherited.old.Silence)
	if len(l.cfg.readyChecks) > 0 {
		ctx, cancel := context.WithCancel(l.phase.life)
		l.incoming.checked = cancel
		go l.u.checkAgain(ctx, max(d/4, timing.MinBeat))
	}
}

// endNewProbation ends what beginNewProbation has begun.
func (l *lifecycle) endNewProbation() {
	t := &l.incoming
	l.u.boot.stderr.GiveBack()
	if t.own != nil {
		t.own.Stop()
		t.own = nil
	}
	if t.checked != nil {
		t.checked()
		t.checked = nil
	}
	t.giveUp = nil
}

// namePIDFirst has the pid file name this process, which is current.
func (l *lifecycle) namePIDFirst() {
	p := l.u.inherited.old
	if p == nil || !isClosed(p.Aborted) { // else the old process has named itself
		l.u.pid.name(l.u.servicePID())
	}
	args := []any{"addresses", l.u.addresses()}
	if p != nil {
		args = append(args, "old_pid", p.PID(), "plain", p.Plain(), "probation", l.incoming.probation)
	}
	l.log.Info("current", args...)
	l.olderChanged()
}

// mostLate is how many seconds a decision about an old process that says nothing is put off while there is something that
// was not heard. A reader that comes to nothing in that time hangs.
const mostLate = 10

// ownTime is when the old process has not ended the probation for long. It may be this process that has stood still, with
// the word in its socket: that has a second more.
func (l *lifecycle) ownTime() {
	t := &l.incoming
	unheard := l.u.inherited.old.Unheard() || len(l.u.inbox) > 0 // in the order in which a word goes
	if t.late == 0 || t.late < mostLate && unheard {
		t.late++
		t.own.Reset(time.Second)
		return
	}
	l.stepIncoming(handover.OwnTime)
}

// goesOnAlone sees to it that the old process, which has not said who serves, goes.
func (l *lifecycle) goesOnAlone() {
	l.log.Warn("the old process does not say that it hands over; this one goes on alone", "old_pid", l.u.inherited.old.PID())
	l.endNewProbation()
	l.u.arrived(l.u.inherited.old)
	l.seeOffOld()
}

// seeOffOld sees to it that the old process goes, in the time of its drain from here on.
func (l *lifecycle) seeOffOld() {
	p := l.u.inherited.old
	switch {
	case p == nil || p.Plain():
	case !l.incoming.seesOff:
		l.incoming.seesOff, p.Ends = true, time.Now().Add(l.incoming.drain)
		l.u.dismissOld(p, l.incoming.drain)
	case len(p.Drains) == 0:
		p.Ends = time.Now().Add(l.incoming.drain)
		p.Drains <- l.incoming.drain // it had stood still
	}
}

// passProbation lets go of what was kept for the old process, which will not need it again.
func (l *lifecycle) passProbation() {
	p := l.u.inherited.old
	l.endNewProbation()
	if p != nil {
		l.u.arrived(p)
		l.u.note(control.StepConfirmed, os.Getpid())
		l.u.upgrade.Store(nil)
	}
	if p == nil || !p.HungUp() {
		l.u.inherited.committed.Store(true)
		for _, remove := range l.incoming.paths {
			remove()
		}
	}
	l.incoming.paths = nil
	l.u.tellLaunch()
	l.seeOffOld()
	if l.incoming.broken {
		l.beginStop(l.stopping.req)
		return
	}
	if l.state() == StateCurrent {
		l.upgradeAgain()
	}
}

// oldCommitsLate hears that the old process, which had stood still, hands over to this one, which had gone on
// alone.
func (l *lifecycle) oldCommitsLate(msg wire.CommitMsg) {
	if l.incoming.machine.Phase == handover.NewAlone && msg.Probation() == 0 {
		l.incoming.drain = msg.Drain()
		l.pending = l.pending || msg.Again
		l.stepIncoming(handover.CommitForGood)
	}
}

// oldConfirms hears that the old process hands over for good.
func (l *lifecycle) oldConfirms(msg wire.CommitMsg) {
	if l.incoming.machine.Phase == handover.NewWaiting || l.incoming.heard {
		return // advance looks again, or has
	}
	l.incoming.heard = true
	l.incoming.drain = msg.Drain()
	l.pending = l.pending || msg.Again
	l.stepIncoming(handover.Confirm)
}

// oldAsksAgain does an upgrade that the old process was asked for.
func (l *lifecycle) oldAsksAgain() {
	l.pending = true
	if l.state() == StateCurrent && l.incoming.isOver() {
		l.upgradeAgain()
	}
}

// oldSays is a word of the old process. Those that follow a commit come after it: Ready is about to tell
// of that, and connections may have come since, which only a process that is current can answer.
func (l *lifecycle) oldSays(e handover.NewEvent) {
	if l.incoming.machine.Phase == handover.NewWaiting && isClosed(l.u.inherited.old.Committed) {
		l.incoming.waiting = append(l.incoming.waiting, e)
		return
	}
	l.stepIncoming(e)
}

// oldEnded hears that the old process has ended, or has hung up and lives for some reason.
func (l *lifecycle) oldEnded() {
	if p := l.u.inherited.old; l.incoming.machine.Phase == handover.NewProbation {
		l.log.Warn("the old process is gone: there is no way back any more", "old_pid", p.PID())
	}
	l.oldSays(handover.OldEnded)
}

// inspect has the pid file name this process, if it accepts: the old one may have ended in the
// moment in which it took the service back, and a process that it had given up may have written
// the file late.
func (l *lifecycle) inspect() {
	if l.state() <= StateUpgrading {
		l.u.pid.correct(l.u.servicePID())
	}
}

// rolledBack finishes what this process has, because the old one serves again.
func (l *lifecycle) rolledBack() {
	if l.state() < StateCurrent {
		return // Ready returns ErrAborted
	}
	l.endNewProbation()
	l.stopping.cause = because(ErrAborted, errors.New(l.u.inherited.old.Reason))
	l.log.Error("the old process serves again; this one finishes what it has", "error", l.stopping.cause)
	l.u.inherited.committed.Store(false)
	l.u.noteText(control.StepRolledBack, os.Getpid(), l.u.inherited.old.Reason)
	l.u.events.end()
	if l.drainer == nil { // else it is broken, and drains already
		l.beginDrain(StateDraining)
	}
}
