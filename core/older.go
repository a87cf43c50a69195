package core

import (
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// olderGenerations is how many generations before this one there are. Each stays until the one
// before it is gone.
func (u *Upgrader) olderGenerations() int {
	if p := u.inherited.old; p != nil {
		return p.OlderGenerations()
	}
	return 0
}

// olderChanged looks at the number of older generations anew. The next generation gets to
// know it, or if this is the current one it holds to WithMaxDraining.
func (l *lifecycle) olderChanged() {
	n := l.u.olderGenerations()
	known := n > 0 || l.incoming.machine.Gone // the old process, which is one of them, has said so
	if l.state() == StateCurrent && known && l.incoming.machine.Phase != handover.NewProbation {
		l.manager.Serving(l.u.generation, n)
	}
	if l.u.next != nil {
		if !l.hands(handover.OldProbation, handover.OldAsked) && !l.u.next.Plain {
			_ = l.u.next.Say(wire.Older, wire.OlderMsg{Older: n + 1}, timing.Say)
		}
		return
	}
	limit, before := l.cfg.maxDraining, l.u.generation-l.cfg.maxDraining
	if limit >= 1 && n > limit && before > l.cutBefore && l.state() > StateStarting {
		l.cutBefore = before
		l.log.Warn("too many generations drain: the oldest are cut", "draining", n, "limit", limit)
		_ = l.u.inherited.old.Say(wire.Cut, wire.CutMsg{Before: before})
	}
}

// cutOlder ends this generation's drain if it is among those that are named, and passes
// the word on to the one before.
func (l *lifecycle) cutOlder(f wire.Frame) {
	var msg wire.CutMsg
	if f.Decode(&msg) != nil {
		return
	}
	if l.u.olderGenerations() > 0 {
		_ = l.u.inherited.old.Say(wire.Cut, msg)
	}
	if l.u.generation < msg.Before && l.state() >= StateDraining {
		l.u.cutShort("too many generations drain")
	}
}
