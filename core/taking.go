package core

import (
	"context"
	"errors"
	"time"

	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// taking is the handover from the old process, as the new one sees it. What happens goes to
// handover.New, which decides; the lifecycle carries out what that answers. It is the
// lifecycle's alone. Without an old process, or with one that says nothing after it has started
// this one, it is as if that had ended.
type taking struct {
	new       handover.New
	paths     []func()            // remove the paths of unix sockets that are not used any more
	pidFile   *pidfile.File       // to be renamed into place; nil without one
	probation time.Duration       // 0: the handover is for good
	drain     time.Duration       // how long the old process drains
	own       *time.Timer         // when this process goes on alone; nil: it does not wait
	late      bool                // that time has come once
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
func (u *Upgrader) hasNoOld() bool { p := u.inherited.parent; return p == nil || p.plain() }

// ownTime and givesUp are channels for the lifecycle, nil when nothing is waited for.

func (t *taking) ownTime() <-chan time.Time {
	if t.own == nil {
		return nil
	}
	return t.own.C
}

func (t *taking) givesUp() <-chan time.Time { return t.giveUp }

// isOver reports whether an upgrade can begin: no word of the old process can cross it.
func (t *taking) isOver() bool {
	return t.new.Phase != handover.NewProbation && t.new.Phase != handover.NewAlone
}

// advanceRequest makes this process the current generation.
type advanceRequest struct {
	event     handover.NewEvent // by which it is
	pidFile   *pidfile.File     // nil without one
	paths     []func()          // see taking
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
		l.taking.new.Gone = true
	}
	l.taking.pidFile, l.taking.paths, l.taking.probation, l.taking.drain = req.pidFile, req.paths, req.probation, req.drain
	l.pending = req.again
	l.take(req.event)
	if !l.taking.new.Accepts() {
		return because(ErrAborted, errors.New(l.u.inherited.parent.reason))
	}
	if p := l.u.inherited.parent; p != nil && isClosed(p.confirmed) {
		l.oldConfirms(p.confirm) // it came before this process knew of the commit
	}
	waiting := l.taking.waiting
	l.taking.waiting = nil
	for _, e := range waiting {
		l.take(e)
	}
	return nil
}

// take takes an event of the handover to its decision, and carries that out. It reports whether
// what was asked of this process, a stop or an upgrade, goes ahead.
func (l *lifecycle) take(e handover.NewEvent) (goesAhead bool) {
	next, effects := l.taking.new.Step(e)
	l.taking.new = next
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
			l.u.inherited.parent.spare()
			l.taking.unsaid = l.u.inherited.parent.say(wire.Reject, wire.Because(l.taking.why.Error()))
			if l.taking.unsaid == nil {
				l.log.Error("this version is rejected; the old process is asked to serve again", "error", l.taking.why)
			}
		case handover.SaySettled:
			if l.sayOld(wire.Settled) || !l.u.inherited.parent.alivePID() {
				l.u.inherited.committed.Store(true) // what was inherited is not the old one's any more
			}
		case handover.SayAgain:
			l.sayOld(wire.Again)
		case handover.Remember:
			l.remember()
		case handover.Inspect:
			l.inspect()
			l.aged() // that it is gone may have been noted before its last word
		case handover.PassProbation:
			l.passProbation()
		case handover.Recall:
			l.recalled()
		case handover.StopNew, handover.StartNext:
			goesAhead = true
		}
	}
	return goesAhead
}

// sayOld says a word to the old process. That it is gone is heard otherwise.
func (l *lifecycle) sayOld(t wire.Type) bool {
	err := l.u.inherited.parent.say(t, nil)
	if err != nil {
		l.log.Debug("the old process can't be told", "word", t.String(), "error", err)
	}
	return err == nil
}

// accept accepts connections from here on.
func (l *lifecycle) accept() {
	p := l.u.inherited.parent
	l.setState(StateCurrent)
	if p != nil {
		l.u.seenOff = make(chan struct{})
	}
	l.u.keepListeners()
	close(l.phase.accepting)
	if !l.u.hasNoOld() && len(only[*PacketConn](l.u.passing.all())) > 0 {
		l.sayOld(wire.Serves)
	}
	if l.taking.new.Phase == handover.NewProbation {
		l.standProbation()
	}
}

// standProbation waits for the old process's word, and runs the ready checks meanwhile.
func (l *lifecycle) standProbation() {
	d := l.taking.probation
	l.taking.own = time.NewTimer(timing.Add(d, timing.Alone))
	if len(l.cfg.readyChecks) > 0 {
		ctx, cancel := context.WithCancel(l.phase.life)
		l.taking.checked = cancel
		go l.u.checkAgain(ctx, max(d/4, timing.MinBeat))
	}
}

// endProbation ends what standProbation has begun.
func (l *lifecycle) endProbation() {
	t := &l.taking
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
	p := l.u.inherited.parent
	if l.taking.pidFile != nil && (p == nil || !isClosed(p.aborted)) { // else the old process has named itself
		if err := l.taking.pidFile.Commit(); err != nil {
			l.log.Error("the pid file does not name this process", "error", err)
		}
	}
	args := []any{"addresses", l.u.passing.addresses()}
	if p != nil {
		args = append(args, "old_pid", p.pid(), "plain", p.plain(), "probation", l.taking.probation)
	}
	l.log.Info("current", args...)
	l.aged()
}

// ownTime is when the old process has not ended the probation for long. It may be this process
// that has stood still, with the word in its socket: that has one second more.
func (l *lifecycle) ownTime() {
	if !l.taking.late {
		l.taking.late = true
		l.taking.own.Reset(time.Second)
		return
	}
	l.take(handover.OwnTime)
}

// goesOnAlone sees to it that the old process, which has not said who serves, goes.
func (l *lifecycle) goesOnAlone() {
	l.log.Warn("the old process does not say that it hands over; this one goes on alone", "old_pid", l.u.inherited.parent.pid())
	l.endProbation()
	l.seeOffOld()
}

// seeOffOld sees to it that the old process goes, in the time of its drain from here on.
func (l *lifecycle) seeOffOld() {
	p := l.u.inherited.parent
	switch {
	case p == nil || p.plain():
	case !l.taking.seesOff:
		l.taking.seesOff = true
		l.u.dismissParent(p, l.taking.drain)
	case len(p.drains) == 0:
		p.drains <- l.taking.drain // it had stood still
	}
}

// passProbation: the old process will not need again what was kept for it.
func (l *lifecycle) passProbation() {
	p := l.u.inherited.parent
	l.endProbation()
	if p == nil || !p.hungUp() {
		l.u.inherited.committed.Store(true)
		for _, remove := range l.taking.paths {
			remove()
		}
	}
	l.taking.paths = nil
	l.seeOffOld()
	if l.taking.broken {
		l.beginStop(l.stopping.req)
		return
	}
	if l.state() == StateCurrent {
		l.upgradeAgain()
	}
}

// oldCommitsLate: the old process, which had stood still, hands over to this one, which had gone on alone.
func (l *lifecycle) oldCommitsLate(msg wire.CommitMsg) {
	if l.taking.new.Phase == handover.NewAlone && msg.Probation() == 0 {
		l.taking.drain = msg.Drain()
		l.pending = l.pending || msg.Again
		l.take(handover.CommitForGood)
	}
}

// oldConfirms: the old process hands over for good.
func (l *lifecycle) oldConfirms(msg wire.CommitMsg) {
	if l.taking.new.Phase == handover.NewWaiting || l.taking.heard {
		return // advance looks again, or has
	}
	l.taking.heard = true
	l.taking.drain = msg.Drain()
	l.pending = l.pending || msg.Again
	l.take(handover.Confirm)
}

// oldAsksAgain: an upgrade that the old process was asked for is this one's to do.
func (l *lifecycle) oldAsksAgain() {
	l.pending = true
	if l.state() == StateCurrent && l.taking.isOver() {
		l.upgradeAgain()
	}
}

// oldSays is a word of the old process. Those that follow a commit come after it: Ready is about to tell
// of that, and connections may have come since, which only a process that is current can answer.
func (l *lifecycle) oldSays(e handover.NewEvent) {
	if l.taking.new.Phase == handover.NewWaiting && isClosed(l.u.inherited.parent.committed) {
		l.taking.waiting = append(l.taking.waiting, e)
		return
	}
	l.take(e)
}

// oldEnded: the old process has ended, or hung up and lives for some reason.
func (l *lifecycle) oldEnded() {
	if p := l.u.inherited.parent; l.taking.new.Phase == handover.NewProbation {
		l.log.Warn("the old process is gone: there is no way back any more", "old_pid", p.pid())
	}
	l.oldSays(handover.OldEnded)
}

// inspect has the pid file name this process, if it accepts: the old one may have ended in the
// moment in which it took the service back, and a process that it had given up may have written
// the file late.
func (l *lifecycle) inspect() {
	if l.cfg.pidFile == "" || l.state() > StateUpgrading {
		return
	}
	if pid, err := pidfile.Read(l.cfg.pidFile); err == nil && pid == servicePID() {
		return
	}
	if err := pidfile.Write(l.cfg.pidFile, servicePID()); err != nil {
		l.log.Error("the pid file does not name this process", "error", err)
	}
}

// recalled: the old process serves again, and this one finishes what it has.
func (l *lifecycle) recalled() {
	if l.state() < StateCurrent {
		return // Ready returns ErrAborted
	}
	l.endProbation()
	l.stopping.cause = because(ErrAborted, errors.New(l.u.inherited.parent.reason))
	l.log.Error("the old process serves again; this one finishes what it has", "error", l.stopping.cause)
	l.u.inherited.committed.Store(false)
	if l.drainer == nil { // else it is broken, and drains already
		l.beginDrain(StateDraining)
	}
}
