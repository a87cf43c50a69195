package core

import (
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// followOld listens to the old process. It runs in a goroutine of its own.
func (u *Upgrader) followOld(p *oldProcess) {
	defer boot.stderr.Orphaned()
	p.follow(u.oldHandler(p), u.phase.done, u.log)
}

// oldHandler has the lifecycle hear what the old process says.
func (u *Upgrader) oldHandler(p *oldProcess) oldHandler {
	return oldHandler{
		offer:     func(f wire.Frame, files []int) error { return u.receive(p, f, files) },
		moved:     func(f wire.Frame) { u.reconcile(p, f) },
		committed: func() { u.post(func(l *lifecycle) { l.oldCommitsLate(p.commit) }) },
		confirmed: func() { u.post(func(l *lifecycle) { l.oldConfirms(p.confirm) }) },
		aborted:   func(e handover.NewEvent) { u.post(func(l *lifecycle) { l.oldSays(e) }) },
		again:     func() { u.post((*lifecycle).oldAsksAgain) },
		older:     func() { u.post((*lifecycle).olderChanged) },
		ended:     func() { u.post((*lifecycle).oldEnded) },
	}
}

// tellFailed tells the old process, if there is one, why this one won't be ready.
func (u *Upgrader) tellFailed(err error) {
	if p := u.inherited.old; p != nil && !isClosed(p.committed) {
		_ = p.say(wire.Failed, wire.Because(err.Error()))
	}
}
