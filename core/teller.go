package core

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// teller tells other processes what this one has counted and what has happened: the next process, the one before as long
// as that can serve again, and the supervisor. To each it says one thing at a time, and waits for the answer, because the
// other one may stand still: its socket must have room for what decides.
//
// The zero teller has nobody to tell.
type teller struct {
	u *Upgrader

	mu       sync.Mutex
	partners []*partner
	wake     chan struct{} // closed, and nil then, to have run look; nil: it is about to
	noted    chan struct{} // closed, and nil then, when a partner has answered; nil: nobody waits
}

// partner is one of those processes. What changes is guarded by the teller's mutex.
type partner struct {
	next   *peer.Next // nil if it is another one
	say    func(wire.AccountMsg) error
	gone   <-chan struct{} // closed when nothing can be said any more
	hears  hearing
	events bool // it hears of those, too

	waits bool      // it has not answered yet
	since time.Time // ... since then
	late  bool      // somebody was shown what it has not heard of yet
	last  string    // what it was told of the counts
	queue []Event   // that it is yet to hear of
}

// hearing is what a partner hears of the counts.
type hearing int

const (
	hearsOwn hearing = iota // this process's, which the one before may have to add to its own
	hearsAll                // all that this process knows, for the next one
	hearsSum                // the sum, for the supervisor: if it has use for that, none of the processes is there
)

const (
	// maxQueue is how many events wait for a partner, the oldest of which are dropped.
	maxQueue = maxEvents
	// maxTold bounds the events of one frame, in bytes.
	maxTold = wire.MaxPayload / 2
)

// run tells what has changed, once a second, until stop is closed. Without a partner it sleeps.
func (t *teller) run(stop <-chan struct{}) {
	tick := time.NewTicker(timing.Tell)
	defer tick.Stop()
	for {
		partners, wake := t.look()
		for _, p := range partners {
			t.tell(p, false)
		}
		var due <-chan time.Time
		if len(partners) > 0 {
			due = tick.C
		}
		select {
		case <-due:
		case <-wake:
		case <-stop:
			return
		}
	}
}

// look returns the partners, and a channel that is closed when there is something to tell them.
func (t *teller) look() ([]*partner, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.wake == nil {
		t.wake = make(chan struct{})
	}
	return t.livingLocked(), t.wake
}

// wakeUp closes the channel for those who wait, if there are any.
func wakeUp(ch *chan struct{}) {
	if *ch != nil {
		close(*ch)
		*ch = nil
	}
}

func (t *teller) all() []*partner {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.livingLocked()
}

// livingLocked lets go of partners that are gone, and returns the others.
func (t *teller) livingLocked() []*partner {
	t.partners = slices.DeleteFunc(t.partners, func(p *partner) bool { return isClosed(p.gone) })
	return slices.Clone(t.partners)
}

// add makes p a partner, which hears of all events that are remembered, soon.
func (t *teller) add(p *partner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.events {
		p.queue = t.u.events.all()
	}
	t.partners = append(t.partners, p)
	wakeUp(&t.wake)
}

// remove undoes add. Nobody waits for its answer any more.
func (t *teller) remove(p *partner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partners = slices.DeleteFunc(t.partners, func(x *partner) bool { return x == p })
	p.waits = false
	wakeUp(&t.noted)
}

// partnerOf returns the partner that the new process is; nil if it is none.
func (t *teller) partnerOf(next *peer.Next) *partner {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.partners, func(p *partner) bool { return p.next == next }); i >= 0 {
		return t.partners[i]
	}
	return nil
}

// pass has events told to all partners but the one from which they have come.
func (t *teller) pass(list []Event, from *partner) {
	if len(list) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.partners {
		if p != from && p.events {
			p.queue = append(p.queue, list...)
			p.queue = p.queue[max(0, len(p.queue)-maxQueue):]
		}
	}
	wakeUp(&t.wake)
}

// hears notes the partner's answer.
func (t *teller) hears(p *partner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.waits = false
	wakeUp(&t.noted)
	if len(p.queue) > 0 || p.late {
		p.late = false
		wakeUp(&t.wake)
	}
}

// tell says what is new to the partner. With last it is this process's last word, which does not wait for an answer to
// the one before. Without, a partner that has not answered is left alone, and tell returns false.
func (t *teller) tell(p *partner, last bool) bool {
	t.mu.Lock()
	if p.waits && !last {
		t.mu.Unlock()
		return false
	}
	p.waits, p.since = true, time.Now()
	queue, before := slices.Clone(p.queue), p.last
	t.mu.Unlock()
	msg, said, told := t.message(p, queue)
	if said == before && told == 0 && !last {
		t.hears(p)
		return true
	}
	err := p.say(msg)
	if errors.Is(err, wire.ErrTooLong) && told > 0 {
		msg.Events, told = nil, 0
		err = p.say(msg)
	}
	switch {
	case peer.HungUp(err):
		t.remove(p)
		return true
	case err != nil: // it is not said, and something else can be
		t.hears(p)
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p.last = said
	p.queue = slices.DeleteFunc(p.queue, func(e Event) bool {
		return slices.ContainsFunc(queue[:told], func(x Event) bool { return x.ID == e.ID })
	})
	return true
}

// message is what a partner is told. It returns what of it says something new, and how many of the events it has.
func (t *teller) message(p *partner, queue []Event) (msg wire.AccountMsg, said string, told int) {
	own := t.u.account()
	same := own
	same.Told, same.Number = time.Time{}, 0 // they are new each time
	said = string(t.counts(p, same))
	if b := t.counts(p, own); p.hears == hearsOwn {
		msg.Own = b
	} else {
		msg.Totals = b
	}
	var events []json.RawMessage
	for size := 0; told < len(queue); told++ {
		one, err := json.Marshal(queue[told])
		if err != nil || len(one) > maxTold {
			continue // it is not told
		}
		if size += len(one) + 1; size > maxTold {
			break
		}
		events = append(events, one)
	}
	if events != nil {
		msg.Events, _ = json.Marshal(events)
	}
	return msg, said, told
}

// counts is what a partner hears of the counts, as JSON.
func (t *teller) counts(p *partner, own control.Account) []byte {
	var v any = own
	switch p.hears {
	case hearsAll:
		v = t.u.books.all(own, process{t.u.generation + 1, p.next.Says()})
	case hearsSum:
		v = summary(t.u.books.totals(own))
	}
	b, _ := json.Marshal(v) // books take nothing that can't be marshaled
	return b
}

// summary has the counts of all processes in one sum.
func summary(t control.Totals) control.Totals {
	t.Ended, t.Total = t.Total, control.Counts{}
	for i := range t.Processes {
		t.Processes[i].Counts = control.Counts{}
	}
	return t
}

// show tells what somebody else is about to be shown to those that would go on from there, if this process were killed.
// One that stands still takes no time from the others: they are told first.
func (t *teller) show() {
	limit := time.NewTimer(timing.Shown)
	defer limit.Stop()
	partners := t.all()
	behind := slices.DeleteFunc(slices.Clone(partners), func(p *partner) bool { return t.tell(p, false) })
	for _, p := range behind {
		if !t.await(p, limit) || !t.tell(p, false) {
			t.mu.Lock()
			p.late = true // it is told when it answers, and not a second later
			t.mu.Unlock()
		}
	}
	for _, p := range partners {
		t.await(p, limit)
	}
}

// await waits until the partner has answered. It reports false if it has not in time, because it stands still.
func (t *teller) await(p *partner, limit *time.Timer) bool {
	for noted := t.awaits(p); noted != nil; noted = t.awaits(p) {
		if t.isDeaf(p) {
			return false
		}
		select {
		case <-noted:
		case <-p.gone:
			return false
		case <-limit.C:
			limit.Reset(0) // for the next one, too
			return false
		}
	}
	return true
}

// awaits returns a channel that is closed when a partner has answered; nil if this one has.
func (t *teller) awaits(p *partner) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !p.waits {
		return nil
	}
	if t.noted == nil {
		t.noted = make(chan struct{})
	}
	return t.noted
}

// isDeaf reports whether somebody has waited for the partner before, in vain.
func (t *teller) isDeaf(p *partner) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return p.waits && time.Since(p.since) > timing.Shown
}

// finish says the last words of this process.
func (t *teller) finish() {
	t.u.books.end()
	for _, p := range t.all() {
		t.tell(p, true)
	}
}

// takeEvents are those of a message.
func takeEvents(msg wire.AccountMsg) (list []Event) {
	if len(msg.Events) > 0 {
		_ = json.Unmarshal(msg.Events, &list) // of another version
	}
	return list
}

// takeOwn is what the process has counted that has sent the message.
func takeOwn(msg wire.AccountMsg) (a control.Account, ok bool) {
	ok = len(msg.Own) > 0 && json.Unmarshal(msg.Own, &a) == nil
	return a, ok
}
