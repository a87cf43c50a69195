package core

import (
	"os"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/text"
)

// concluded keeps, counts and tells what has become of an upgrade that this process has begun. newPID is 0 if no process
// was started.
func (u *Upgrader) concluded(r upgradeReply, newPID int, h *outgoing) {
	if h.change.check {
		return // it was no upgrade
	}
	o := u.outcome(r, newPID)
	o.Took, o.Release = time.Since(h.began), h.change.release
	u.conclude(h, o, o.Kind, r.err)
}

// concludedLate is concluded for an upgrade that was reported as done, and taken back.
func (u *Upgrader) concludedLate(err error, h *outgoing) {
	o := u.outcome(upgradeReply{err: err}, h.next.PID())
	o.Took, o.Release = time.Since(h.began), h.change.release
	u.conclude(h, o, control.OutcomeTakenBack, err)
}

// refused counts and tells an upgrade that was not begun. It does not belong to one that is in progress.
func (u *Upgrader) refused(err error) {
	o := u.outcome(upgradeReply{err: err}, 0)
	u.books.upgraded(o.Kind, err, 0)
	u.happenedIn(nil, concludedEvent(o))
}

// conclude keeps, counts and tells an outcome, which counts as one of this kind. Another upgrade can have begun: why this
// one was rolled back takes a while to find out.
func (u *Upgrader) conclude(h *outgoing, o control.Outcome, kind string, err error) {
	u.last.Store(&control.LastUpgrade{At: time.Now(), Outcome: o})
	u.books.upgraded(kind, err, o.Took)
	if o.Kind == kind && !o.OK && kind != control.KindRefused {
		u.happenedIn(h.name, Event{Step: failedStep(kind), PID: o.NewPID, Text: o.Reason})
	}
	u.happenedIn(h.name, concludedEvent(o))
	if !o.OK {
		u.upgrade.CompareAndSwap(h.name, nil) // its events are over
	}
}

func concludedEvent(o control.Outcome) Event {
	words := o.Kind
	if o.Reason != "" {
		words += ": " + o.Reason
	}
	return Event{Step: control.StepConcluded, PID: o.NewPID, Text: words, Outcome: &o}
}

// arrived keeps that the upgrade which has started this process is done. The old process may end before it could
// say how long that took.
func (u *Upgrader) arrived(p *peer.Old) {
	u.books.arrived()
	u.last.Store(&control.LastUpgrade{At: time.Now(), Outcome: control.Outcome{
		OK: true, Kind: control.KindUpgraded,
		OldPID: p.PID(), OldGeneration: u.generation - 1, OldVersion: text.Cut(p.Version, text.MaxVersion),
		NewPID: os.Getpid(), Generation: u.generation, Version: u.cfg.version,
		Took: time.Since(startedAt),
	}})
}
