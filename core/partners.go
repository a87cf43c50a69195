package core

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// listenTo takes what a new process will tell of itself.
func (u *Upgrader) listenTo(next *peer.Next) {
	take := func(msg wire.AccountMsg) {
		if a, ok := takeOwn(msg); ok && a.Generation == u.generation+1 {
			u.books.take(a)
		}
		u.hear(takeEvents(msg), u.teller.partnerOf(next))
		go func() { // it says nothing more before that
			err := os.ErrDeadlineExceeded
			for errors.Is(err, os.ErrDeadlineExceeded) && !isClosed(next.Frames.Silent) {
				err = next.Say(wire.Noted, nil, timing.Word)
			}
		}()
	}
	next.Frames.Account.Store(&take)
	u.newOnes.Store(next, true)
}

// tellNext leaves the books to a new process, which is about to be told that it is current.
func (u *Upgrader) tellNext(next *peer.Next) {
	if !next.Said().Counts {
		return
	}
	p := &partner{
		next: next, hears: hearsAll, events: true, gone: next.Frames.Silent,
		say: func(msg wire.AccountMsg) error { return next.Say(wire.Account, msg, timing.Say) },
	}
	noted := func() { u.teller.hears(p) }
	next.Frames.Noted.Store(&noted)
	u.books.hand(true)
	u.teller.add(p)
	u.teller.tell(p, true)
}

// keepBooks takes them back from a new process that does not have the service any more.
func (u *Upgrader) keepBooks(next *peer.Next) {
	if p := u.teller.partnerOf(next); p != nil {
		u.teller.remove(p)
	}
	u.books.hand(false)
}

// nextIsGone hears that a new process has ended. Its last word may be on its way, or its end of the handover socket with
// another process, which says nothing.
func (u *Upgrader) nextIsGone(next *peer.Next) {
	go func() {
		select {
		case <-next.Frames.Silent:
		case <-time.After(timing.LastWords):
		}
		u.newOnes.Delete(next)
		u.books.gone(u.generation+1, next.Says(), u.heard())
	}()
}

// tellOld has the old process hear what this one counts, as long as it can serve again.
func (u *Upgrader) tellOld() {
	p := u.inherited.old
	if p == nil || p.Plain() || !p.Counts {
		return
	}
	to := &partner{events: true, gone: p.Gone, say: func(msg wire.AccountMsg) error {
		if isClosed(p.Drained) {
			return net.ErrClosed // it has no use for it
		}
		return p.Say(wire.Account, msg)
	}}
	u.oldPartner.Store(to)
	u.teller.add(to)
}

// hearOld takes what a process before this one tells.
func (u *Upgrader) hearOld(p *peer.Old) func(wire.AccountMsg) {
	return func(msg wire.AccountMsg) {
		var t control.Totals
		if len(msg.Totals) > 0 && json.Unmarshal(msg.Totals, &t) == nil {
			u.books.takeTotals(t)
		}
		var from *partner
		if p == u.inherited.old {
			from = u.oldPartner.Load()
		}
		u.hear(takeEvents(msg), from)
	}
}

// oldNoted hears that the old process has heard.
func (u *Upgrader) oldNoted() {
	if p := u.oldPartner.Load(); p != nil {
		u.teller.hears(p)
	}
}

// beforeIsGone hears that a process before this one is gone. What it has not told is lost.
func (u *Upgrader) beforeIsGone(p *peer.Old) { u.books.gone(p.Generation, p.PID(), u.heard()) }

// heard are the processes that this one hears.
func (u *Upgrader) heard() heard {
	h := heard{itself: make(map[process]bool)}
	for _, p := range u.before() {
		if !isClosed(p.Gone) {
			h.older = append(h.older, p.Generation)
			h.itself[process{p.Generation, p.PID()}] = true
		}
	}
	u.newOnes.Range(func(next, _ any) bool {
		h.itself[process{u.generation + 1, next.(*peer.Next).Says()}] = true
		return true
	})
	return h
}
