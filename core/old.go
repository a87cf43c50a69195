package core

import (
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// followOld listens to the old process. It runs in a goroutine of its own.
func (u *Upgrader) followOld(p *peer.Old) {
	p.Follow(u.oldHandler(p), u.phase.done, u.log)
	if isClosed(p.Gone) { // else it is left to the next process
		u.beforeIsGone(p)
		u.boot.stderr.Orphaned()
	}
}

// oldHandler has the lifecycle hear what the old process says.
func (u *Upgrader) oldHandler(p *peer.Old) peer.OldHandler {
	return peer.OldHandler{
		Offer:     func(f wire.Frame, files []int) error { return u.receive(p, f, files) },
		Entrusted: func(f wire.Frame, files []int) { u.takeOlder(p, f, files) },
		Moved:     func(f wire.Frame) { u.reconcile(p, f) },
		Tickets:   u.takeTickets,
		Committed: func() { u.post(func(l *lifecycle) { l.oldCommitsLate(p.Commit) }) },
		Confirmed: func() { u.post(func(l *lifecycle) { l.oldConfirms(p.Confirm) }) },
		Aborted:   func(e handover.NewEvent) { u.post(func(l *lifecycle) { l.oldSays(e) }) },
		Again:     func() { u.post((*lifecycle).oldAsksAgain) },
		Older:     func() { u.post((*lifecycle).olderChanged) },
		Returned:  func() { u.post(func(*lifecycle) {}) },
		Followed:  func(wire.FollowedMsg) {},
		Account:   u.hearOld(p),
		Noted:     u.oldNoted,
		Rests:     func() {},
		Ended:     func() { u.post((*lifecycle).oldEnded) },
	}
}

// tellFailed tells the old process, if there is one, why this one won't be ready.
func (u *Upgrader) tellFailed(err error) {
	if p := u.inherited.old; p != nil && !isClosed(p.Committed) {
		if p.Say(wire.Failed, wire.Because(err.Error())) != nil {
			p.HangUp() // which says less
		}
	}
}
