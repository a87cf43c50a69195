package core

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// errStillHeard is why a process can't be left to the next one: it is in the middle of a frame.
var errStillHeard = errors.New("it was still heard at the deadline")

// olderProcesses are those before the old process, which that has left to this one when it ended.
type olderProcesses struct {
	mu   sync.Mutex
	list []*peer.Old
}

func (o *olderProcesses) add(p *peer.Old) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, p)
}

// before are the processes before this one that it listens to. Each sees to those before it itself.
func (u *Upgrader) before() []*peer.Old {
	u.older.mu.Lock()
	defer u.older.mu.Unlock()
	all := slices.Clone(u.older.list)
	if p := u.inherited.old; p != nil {
		all = append(all, p)
	}
	return all
}

// firstBefore returns the first process before this one of which f is true; nil without one.
func (u *Upgrader) firstBefore(f func(*peer.Old) bool) *peer.Old {
	all := u.before()
	if i := slices.IndexFunc(all, f); i >= 0 {
		return all[i]
	}
	return nil
}

// olderGenerations are the numbers of the generations before this one that there are, newest first.
func (u *Upgrader) olderGenerations() (all []int) {
	for _, p := range u.before() {
		all = append(all, p.OlderGenerations()...)
	}
	slices.Sort(all)
	slices.Reverse(all)
	return slices.Compact(all)
}

// olderChanged looks at the older generations anew. The next generation gets to know them, or if this is
// the current one it holds to WithMaxDraining.
func (l *lifecycle) olderChanged() {
	l.cutWithService()
	older := l.u.olderGenerations()
	n := len(older)
	known := n > 0 || l.incoming.machine.Gone || l.u.oldHasDrained() // the old process, which is one of them, has said so
	if l.state() == StateCurrent && known && l.incoming.machine.Phase != handover.NewProbation {
		l.manager.Serving(l.u.generation, n)
	}
	if l.u.next != nil {
		if !l.hands(handover.OldProbation, handover.OldAsked) && !l.u.next.Plain {
			l.sayOlder(older)
		}
		return
	}
	limit := l.cfg.maxDraining
	if limit >= 1 && n > limit && older[limit-1] > l.cutBefore && l.state() > StateStarting {
		l.cutBefore = older[limit-1]
		l.log.Warn("too many generations drain: the oldest are cut", "draining", n, "limit", limit)
		l.sayCut(wire.CutBefore(l.cutBefore, ""))
	}
}

// oldHasDrained reports whether the old process has nothing left to do but to return from its main.
func (u *Upgrader) oldHasDrained() bool {
	p := u.inherited.old
	return p != nil && isClosed(p.Drained)
}

// sayOlder tells the next process which generations there are before it.
func (l *lifecycle) sayOlder(older []int) {
	_ = l.u.next.Say(wire.Older, wire.OlderThan(l.u.generation, older), timing.Say)
}

// sayCut tells the processes before this one that some are to end.
func (l *lifecycle) sayCut(msg wire.CutMsg) {
	for _, p := range l.u.before() {
		if len(p.OlderGenerations()) > 0 {
			_ = p.Say(wire.Cut, msg)
		}
	}
}

// cutOlder ends this generation's drain if it is among those that are named, and passes
// the word on to the ones before.
func (l *lifecycle) cutOlder(f wire.Frame) {
	var msg wire.CutMsg
	if f.Decode(&msg) != nil {
		return
	}
	msg = wire.CutBefore(msg.Before, msg.Reason)
	l.sayCut(msg)
	if l.u.generation < msg.Before && l.state() >= StateDraining {
		why := msg.Reason
		if why == "" {
			why = "too many generations drain"
		}
		l.u.cutShort(why)
	}
}

// cutService ends the drain now, and with it those of the processes before this one, if this is a stop of the service.
// One that waits for the old process's word has not begun yet.
func (l *lifecycle) cutService(why string) {
	l.u.cutShort(why)
	l.stopping.cutWhy = why
	l.cutWithService()
}

// cutWithService tells the processes before this one that they are cut, if the service is.
func (l *lifecycle) cutWithService() {
	if why := l.stopping.cutWhy; why != "" && l.state() == StateStopping && l.u.next == nil {
		l.sayCut(wire.CutBefore(l.u.generation, why))
	}
}

// sayStops tells the processes before this one that the service stops.
func (l *lifecycle) sayStops() {
	for _, p := range l.u.before() {
		if !p.Plain() {
			_ = p.Say(wire.Stops, nil) // it may be gone
		}
	}
}

// serviceStops has a process that drains close idle connections as at a stop of its own.
func (l *lifecycle) serviceStops() {
	l.sayStops()
	if l.drainer != nil {
		l.drainer.alone.Store(true)
	}
}

// takeOlder takes over a process that another one, which is about to end, leaves to this one.
func (u *Upgrader) takeOlder(from *peer.Old, f wire.Frame, files []int) {
	var msg wire.EntrustMsg
	if f.Decode(&msg) != nil || len(files) != 1 {
		fd.CloseAll(files)
		u.log.Error("an older process is left to this one, and can't be reached: nobody sees that it goes",
			"older_pid", msg.PID, "generation", msg.Generation)
		return
	}
	ctl, err := fd.Conn(files[0])
	if err != nil {
		u.log.Error("an older process can't be reached: nobody sees that it goes", "older_pid", msg.PID, "error", err)
		return
	}
	u.log.Debug("an older process is left to this one", "older_pid", msg.PID, "older_generation", msg.Generation)
	p := peer.NewOlder(ctl, msg)
	p.Supervisor = u.link().PID()
	u.older.add(p)
	if err := p.SayFollows(u.takes()); err != nil {
		u.log.Debug("an older process can't be told", "older_pid", msg.PID, "error", err)
		p.HangUp() // it would wait for a process that it does not know of
	}
	go func() {
		held := &heldOffer{u: u, p: p}
		p.Follow(u.olderHandler(p, from, held), u.phase.done, u.log)
		held.refuse(false) // it is gone
		if isClosed(p.Gone) {
			u.beforeIsGone(p)
		}
	}()
	u.seeOff(p, msg.Drain())
	u.post(func(l *lifecycle) {
		if l.state() == StateStopping && l.u.next == nil || l.drainer != nil && l.drainer.alone.Load() {
			_ = p.Say(wire.Stops, nil)
		}
		l.olderChanged()
	})
}

// olderHandler has the lifecycle hear what such a process says. It has nothing more to hand over.
func (u *Upgrader) olderHandler(p, from *peer.Old, held *heldOffer) peer.OldHandler {
	none := func() {}
	look := func() { u.post(func(*lifecycle) {}) }
	return peer.OldHandler{
		Offer: func(f wire.Frame, files []int) error {
			if !isClosed(p.Follows) {
				return held.hold(f, files)
			}
			return u.receive(p, f, files)
		},
		Entrusted: func(f wire.Frame, files []int) { u.takeOlder(p, f, files) },
		Followed: func(msg wire.FollowedMsg) {
			held.settle(msg.Awaits)
			_ = from.Say(wire.Followed, nil)
		},
		Rests:     func() { held.refuse(true) },
		Moved:     func(f wire.Frame) { u.reconcile(p, f) },
		Committed: none,
		Confirmed: none,
		Aborted:   func(handover.NewEvent) {},
		Again:     none,
		Older:     func() { u.post((*lifecycle).olderChanged) },
		Returned:  look,
		Account:   u.hearOld(p),
		Noted:     none,
		Ended:     look,
	}
}

// heldOffer is an offer of an older process that may not know yet who listens. It was made to the process before this one
// then, and the older one takes it back if it finds that gone. So it has its answer when that has said followed.
type heldOffer struct {
	u *Upgrader
	p *peer.Old

	mu    sync.Mutex
	frame wire.Frame
	files []int
	limit *time.Timer // nil: no offer is held
}

// hold keeps the offer. One that can't be answered for long is refused, and made again.
func (h *heldOffer) hold(f wire.Frame, files []int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limit != nil {
		clear(f.Payload)
		fd.CloseAll(append(files, h.files...))
		h.files = nil
		return fmt.Errorf("%w: a second offer before the answer to the first", wire.ErrGarbage)
	}
	h.frame, h.files, h.limit = f, files, time.AfterFunc(timing.Word, func() { h.refuse(true) })
	return nil
}

// takeLocked returns the offer if one is held, and holds it no more.
func (h *heldOffer) takeLocked() (f wire.Frame, files []int, ok bool) {
	if h.limit == nil {
		return f, nil, false
	}
	h.limit.Stop()
	h.limit = nil
	return h.frame, h.files, true
}

// settle answers the offer, which the older process waits for, or has taken back.
func (h *heldOffer) settle(awaits bool) {
	if !awaits {
		h.refuse(false)
		return
	}
	h.mu.Lock()
	f, files, ok := h.takeLocked()
	h.mu.Unlock()
	if ok {
		if err := h.u.receive(h.p, f, files); err != nil {
			h.u.log.Error("an older process is not understood", "older_pid", h.p.PID(), "error", err)
			h.p.HangUp()
		}
	}
}

// refuse leaves the connections with the process that has offered them. Again has it offer them once more.
func (h *heldOffer) refuse(again bool) {
	h.mu.Lock() // until it is said: then it may be left to the next process
	defer h.mu.Unlock()
	f, files, ok := h.takeLocked()
	if !ok {
		return
	}
	fd.CloseAll(files)
	msg, _, err := f.DecodeOffer()
	clear(f.Payload) // it may have secrets
	if err == nil {
		taken := wire.TakenMsg{Room: int(h.u.room.Load()), Again: again}
		for i := range msg.Conns {
			taken.Refused = append(taken.Refused, wire.Refuse(i, "the process that it was for has ended"))
		}
		err = h.p.Say(wire.Taken, taken)
	}
	if err != nil {
		h.u.log.Debug("an older process can't be told that its connections stay", "older_pid", h.p.PID(), "error", err)
		h.p.HangUp() // which says so, too
	}
}

// leavesOlder reports whether this process can leave those before it to the next one.
func (u *Upgrader) leavesOlder() bool {
	next := u.next
	if next == nil || next.Plain || !next.Said().Entrusts {
		return false
	}
	p := u.inherited.old
	return p != nil && !p.Plain()
}

// rest ends the listening to the processes before this one, which are left to the next one. As long as one is heard it
// can leave others to this process, whose turn comes then.
func (d *drainer) rest() {
	limit := time.NewTimer(max(time.Until(d.deadline), timing.Say))
	defer limit.Stop()
	for p := d.u.firstBefore(isHeard); p != nil; p = d.u.firstBefore(isHeard) {
		select {
		case <-p.Rest():
		case <-limit.C:
			return
		}
	}
}

func isHeard(p *peer.Old) bool { return !p.Rests() }

// leaveOlder leaves the processes before this one to the next one.
func (l *lifecycle) leaveOlder() {
	if l.drainer == nil || !l.drainer.leaves {
		return
	}
	l.sayOlder(nil) // the others are the next one's to count from here on
	entrusted := 0
	defer func() { l.u.next.AwaitFollowed(entrusted) }()
	for _, p := range l.u.before() {
		if !p.Alive() {
			continue
		}
		err := errStillHeard
		if p.Rests() {
			if err = l.u.next.Entrust(p); err == nil {
				entrusted++
			}
		}
		if err != nil {
			l.log.Error("an older process can't be left to the next one: nobody sees that it goes",
				"older_pid", p.PID(), "error", err)
		}
	}
}

// awaitsOlder reports whether this process stops the service, and others of it are there. Each goes by its own
// deadline, or is ended.
func (l *lifecycle) awaitsOlder() bool {
	p := l.incoming.machine.Phase
	forGood := p == handover.NewFree || p == handover.NewSettled
	if !l.ended || l.state() != StateStopping || l.u.next != nil || !forGood {
		return false
	}
	alive := slices.ContainsFunc(l.u.before(), func(p *peer.Old) bool {
		endsLater := p.Supervises() && isClosed(p.Drained)
		return !p.Plain() && p.Alive() && !endsLater
	})
	if alive && !l.incoming.seesOff {
		l.seeOffOld()
	}
	return alive
}

// seenOffAll is closed when the processes before this one have drained or are gone, and those that they have left to
// this one meanwhile. It is nil if there are none, or if the old one serves again.
func (u *Upgrader) seenOffAll() <-chan struct{} {
	if u.seenOff == nil || isClosed(u.inherited.old.Aborted) {
		return nil
	}
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		<-u.seenOff // of the old one
		moves := func(p *peer.Old) bool { return p != u.inherited.old && !isClosed(p.Drained) && !isClosed(p.Gone) }
		for p := u.firstBefore(moves); p != nil; p = u.firstBefore(moves) {
			select {
			case <-p.Drained:
			case <-p.Gone:
			case <-u.phase.done:
				return
			}
		}
	}()
	return seen
}
