package core

import "github.com/gracex-go/gracex/core/internal/wire"

// elders is how many generations before this one there are. Each stays until the one
// before it is gone.
func (u *Upgrader) elders() int {
	p := u.inherited.parent
	if p == nil || p.ctl == nil || isClosed(p.gone) {
		return 0
	}
	return int(p.elders.Load())
}

// noteElders has the lifecycle look at their count anew.
func (u *Upgrader) noteElders() {
	select {
	case u.aging <- struct{}{}:
	default:
	}
}

// aged: the count of older generations may have changed. The next generation gets to
// know it, or if this is the current one it holds to WithMaxDraining.
func (l *lifecycle) aged() {
	n := l.elders()
	if l.next != nil {
		if l.trial == nil && !l.next.plain {
			_ = l.next.say(wire.Elders, wire.EldersMsg{Elders: n + 1}, sayWait)
		}
		return
	}
	limit := l.cfg.maxDraining
	if limit < 1 || l.State() == StateStarting {
		return
	}
	over := max(n-limit, 0)
	for ; l.cuts < over; l.cuts++ {
		l.log.Warn("too many generations drain: the oldest is cut", "draining", n, "limit", limit)
		l.cutOldest()
	}
	l.cuts = min(l.cuts, over)
}

// cutOldest passes the word on to the generation before, or if there is none ends this
// one's drain.
func (l *lifecycle) cutOldest() {
	if l.elders() > 0 {
		_ = l.inherited.parent.say(wire.Cut, nil)
		return
	}
	if l.State() >= StateDraining {
		l.cutShort("too many generations drain")
	}
}
