package core

import (
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// elders is how many generations before this one there are. Each stays until the one
// before it is gone.
func (u *Upgrader) elders() int {
	p := u.inherited.parent
	if p == nil || p.ctl == nil || isClosed(p.gone) {
		return 0
	}
	return int(p.elders.Load())
}

// aged: the count of older generations may have changed. The next generation gets to
// know it, or if this is the current one it holds to WithMaxDraining.
func (l *lifecycle) aged() {
	n := l.u.elders()
	known := n > 0 || l.taking.new.Gone // the old process, which is one of them, has said so
	if l.state() == StateCurrent && known && l.taking.new.Phase != handover.NewProbation {
		l.manager.Serving(l.u.generation, n)
	}
	if l.u.next != nil {
		if !l.hands(handover.OldTrial, handover.OldAsked) && !l.u.next.plain {
			_ = l.u.next.say(wire.Elders, wire.EldersMsg{Elders: n + 1}, timing.Say)
		}
		return
	}
	limit, before := l.cfg.maxDraining, l.u.generation-l.cfg.maxDraining
	if limit >= 1 && n > limit && before > l.cutBefore && l.state() > StateStarting {
		l.cutBefore = before
		l.log.Warn("too many generations drain: the oldest are cut", "draining", n, "limit", limit)
		_ = l.u.inherited.parent.say(wire.Cut, wire.CutMsg{Before: before})
	}
}

// cutOlder ends this generation's drain if it is among those that are named, and passes
// the word on to the one before.
func (l *lifecycle) cutOlder(f wire.Frame) {
	var msg wire.CutMsg
	if f.Decode(&msg) != nil {
		return
	}
	if l.u.elders() > 0 {
		_ = l.u.inherited.parent.say(wire.Cut, msg)
	}
	if l.u.generation < msg.Before && l.state() >= StateDraining {
		l.u.cutShort("too many generations drain")
	}
}
