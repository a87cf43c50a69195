package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// afterglow is for how long after the end of the old process a request still counts as one around the upgrade.
	afterglow = 20 * time.Millisecond
	// rateShare is the part of what the machine can do that the load is, unless -rate says it.
	rateShare = 3
)

// p99 measures what the clients feel of an upgrade.
func (k *kit) p99(ctx context.Context) error {
	const mode = "p99"
	rate := k.rate
	var cells []cell
	for _, n := range k.p99Idle {
		cells = append(cells, cell{
			name: strconv.Itoa(n), conns: n + steadyConns, rounds: k.p99Runs,
			measure: func(ctx context.Context, b build) (_ figures, _ losses, err error) {
				return k.p99Once(ctx, b, rate, n)
			},
		})
	}
	from := "as -rate says"
	if rate == 0 && len(k.choose(mode, cells)) > 0 {
		most, err := k.capacity(ctx)
		if err != nil {
			return err
		}
		rate = max(int(most)/rateShare, 1)
		from = fmt.Sprintf("a third of the %.0f that the machine can do", most)
	}
	idle := "has been asked once before"
	if k.parked {
		idle = "was asked in the beginning only, so that from the second upgrade on it is a parked one that moves"
	}
	return k.compare(ctx, mode, fmt.Sprintf("%d connections ask %d times a second together, %s. So many others are idle; before each"+
		" upgrade each of them %s. *Around* is from the signal until %v after the end of the old process, and is the median of %d"+
		" upgrades; *elsewhere* is the rest of the run. Median (lowest..highest) of %d runs.",
		steadyConns, rate, from, idle, afterglow, k.p99Upgrades, k.p99Runs),
		[]string{"p99 around, µs", "p99 elsewhere, µs", "ratio", "slowest around, ms", "slowest elsewhere, ms", "move, ms"}, cells)
}

// capacity is how many requests a second the machine can do, with the client on it.
func (k *kit) capacity(ctx context.Context) (_ float64, err error) {
	s, err := k.builds[0].start(ctx, k)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	c := contestant{service: s, asks: ask}
	if c.conns, err = s.dial(ctx, steadyConns); err != nil {
		return 0, err
	}
	for range 3 {
		if err := c.round(k.steadyRequests).err(); err != nil {
			return 0, err
		}
	}
	return c.rate.median(), nil
}

// p99Once is a run: as many upgrades as there are to be, under one load.
func (k *kit) p99Once(ctx context.Context, b build, rate, n int) (_ figures, lost losses, err error) {
	s, err := b.start(ctx, k)
	if err != nil {
		return nil, lost, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	idle, err := s.dial(ctx, n)
	if err != nil {
		return nil, lost, err
	}
	asking, err := s.dial(ctx, steadyConns)
	if err != nil {
		return nil, lost, err
	}
	lost.add(idle.ask())
	p := startPace(asking, rate)
	t, err := k.upgradeUnder(ctx, s, idle)
	lost.add(p.stop())
	lost.add(t.lost)
	lost.add(idle.ask())
	if err != nil {
		return nil, lost, err
	}
	return t.judge(p), lost, nil
}

// upgradeUnder upgrades a server under load, again and again.
func (k *kit) upgradeUnder(ctx context.Context, s *service, idle conns) (t timeline, err error) {
	for i := range k.p99Upgrades {
		if i > 0 && !k.parked {
			began := time.Now()
			t.lost.add(idle.ask())
			t.aside = append(t.aside, span{began, time.Now().Add(afterglow)})
		}
		if err := pause(ctx, k.calm); err != nil {
			return t, err
		}
		u, err := s.upgrade(ctx)
		if err != nil {
			return t, err
		}
		over := u.gone.Add(afterglow)
		t.upgrades = append(t.upgrades, span{u.signal, over})
		// What follows is no part of the upgrade, and must not slow a request that is.
		if err := pause(ctx, time.Until(over.Add(afterglow))); err != nil {
			return t, err
		}
		t.moves = append(t.moves, u.toEnd())
	}
	return t, pause(ctx, k.calm)
}

// timeline is what was done during a load.
type timeline struct {
	upgrades []span
	aside    []span // when all idle connections were asked, which is neither an upgrade nor its absence
	moves    sample
	lost     losses
}

// span is a part of the time.
type span struct{ from, to time.Time }

// meets reports whether a request was under way then.
func (s span) meets(a answer) bool { return a.asked.Before(s.to) && a.asked.Add(a.took).After(s.from) }

// judge sorts the answers by when they were under way.
func (t timeline) judge(p *pace) figures {
	around, elsewhere := make([]sample, len(t.upgrades)), sample{}
	for _, a := range p.all() {
		us, free := microseconds(a.took), true
		for i, s := range t.upgrades {
			if s.meets(a) {
				around[i], free = append(around[i], us), false
			}
		}
		for _, s := range t.aside {
			free = free && !s.meets(a)
		}
		if free {
			elsewhere = append(elsewhere, us)
		}
	}
	var p99s, slowest sample
	for _, s := range around {
		if len(s) > 0 { // there is none if the rate is low and the upgrade quick
			p99s, slowest = append(p99s, s.quantile(0.99)), append(slowest, s.quantile(1))
		}
	}
	here, there := p99s.median(), elsewhere.quantile(0.99)
	return figures{{here}, {there}, {here / there}, {slowest.quantile(1) / 1000}, {elsewhere.quantile(1) / 1000}, t.moves}
}

// answer is a request that was answered.
type answer struct {
	asked time.Time
	took  time.Duration
}

// pace asks at a fixed rate. A connection whose answer comes late asks the next time when it is there.
type pace struct {
	conns   conns
	every   time.Duration // on one connection
	began   time.Time
	stopped atomic.Bool
	workers sync.WaitGroup
	answers [][]answer // by connection
	lost    []losses
}

func startPace(c conns, rate int) *pace {
	p := &pace{
		conns: c, every: time.Second * time.Duration(len(c)) / time.Duration(rate), began: time.Now(),
		answers: make([][]answer, len(c)), lost: make([]losses, len(c)),
	}
	for i := range c {
		_ = c[i].SetDeadline(time.Time{}) // stop sets it
		p.workers.Go(func() { p.ask(i) })
	}
	return p
}

func (p *pace) ask(i int) {
	var buf [bufSize]byte
	due := p.began.Add(p.every * time.Duration(i) / time.Duration(len(p.conns))) // the connections take turns
	for ; !p.stopped.Load(); due = due.Add(p.every) {
		time.Sleep(time.Until(due))
		asked := time.Now()
		if err := ask(p.conns[i], buf[:]); err != nil {
			p.lost[i].add(losses{1, err})
			return
		}
		p.answers[i] = append(p.answers[i], answer{asked, time.Since(asked)})
	}
}

// stop ends the load. An answer that is missing has a while to come.
func (p *pace) stop() (lost losses) {
	p.stopped.Store(true)
	for _, c := range p.conns {
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	p.workers.Wait()
	for _, l := range p.lost {
		lost.add(l)
	}
	return lost
}

// all are the answers of all connections.
func (p *pace) all() (all []answer) {
	for _, a := range p.answers {
		all = append(all, a...)
	}
	return all
}
