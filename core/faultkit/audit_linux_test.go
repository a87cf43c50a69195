package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// books are three generations and their clients, which agree.
func books() ([]generation, load.Result) {
	at := time.Unix(1000, 0)
	history := []generation{
		{pid: 10, current: at, handed: at.Add(time.Second), ended: at.Add(3 * time.Second), took: 30 * time.Millisecond,

			ledger: map[string]int{"accepted": 5, "served": 20, "moved": 4, "closed_politely": 1}},
		{pid: 11, current: at.Add(time.Second), handed: at.Add(2 * time.Second), ended: at.Add(4 * time.Second), took: 10 * time.Millisecond,

			ledger: map[string]int{"accepted": 2, "served": 7, "adopted": 4, "moved": 5}},
		{pid: 12, current: at.Add(2 * time.Second), ended: at.Add(6 * time.Second), ledger: map[string]int{"served": 1, "adopted": 5}},
	}
	return history, load.Result{Connects: 7, Served: map[load.Server]int{
		{PID: "10", Generation: "0"}: 20, {PID: "11", Generation: "1"}: 7, {PID: "12", Generation: "2"}: 1,
	}}
}

func TestAudit(t *testing.T) {
	t.Parallel()
	v := newVerdict(t.Output())
	history, clients := books()
	s := audit(history, clients, v)
	if v.err() != nil || s.accepted != 7 || s.moved != 9 || s.longest != 2*time.Second || len(s.took) != 2 || s.took[0] > s.took[1] {
		t.Errorf("%+v, %v", s, v.err())
	}
}

func TestAuditComplains(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(history []generation, clients *load.Result){
		"an answer too few":        func(_ []generation, c *load.Result) { c.Served[load.Server{PID: "11", Generation: "1"}]-- },
		"of no generation":         func(_ []generation, c *load.Result) { c.Served[load.Server{PID: "13", Generation: "3"}]++ },
		"a request too many":       func(h []generation, _ *load.Result) { h[2].ledger["served"]++ },
		"a connection not adopted": func(h []generation, _ *load.Result) { h[1].ledger["adopted"]-- },
		"a connection too many":    func(h []generation, _ *load.Result) { h[0].ledger["accepted"]++ },
		"a dial too many":          func(_ []generation, c *load.Result) { c.Connects++ },
		"refused":                  func(h []generation, _ *load.Result) { h[0].ledger["refused"]++ },
		"cut":                      func(h []generation, _ *load.Result) { h[1].ledger["cut_hijacked"]++ },
		"closed idle":              func(h []generation, _ *load.Result) { h[1].ledger["closed_idle"]++ },
		"no ledger":                func(h []generation, _ *load.Result) { h[1].ledger = nil },
	} {
		v := newVerdict(t.Output())
		history, clients := books()
		spoil(history, &clients)
		audit(history, clients, v)
		if v.found[checkLedgers] == 0 {
			t.Errorf("%s: the books agree", name)
		}
	}
}

// TestAuditReturns: to come back to a generation is right around its handover only.
func TestAuditReturns(t *testing.T) {
	t.Parallel()
	history, _ := books()
	for _, c := range []struct {
		generation int
		after      time.Duration // its handover
		want       int
	}{{0, 0, 0}, {0, -handingOver, 0}, {0, -handingOver - 1, 1}, {1, handingOver + 1, 1}, {2, 0, 1}} {
		v := newVerdict(t.Output())
		auditReturns([]comeback{{generation: c.generation, at: history[c.generation].handed.Add(c.after)}}, history, v)
		if got := v.found[checkConnections]; got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestAuditExits(t *testing.T) {
	t.Parallel()
	history, _ := books()
	state := &journalState{history: append(history, generation{pid: 14}), onPurpose: []int{13}}
	for _, c := range []struct {
		exit procgroup.Exit
		want int
	}{
		{procgroup.Exit{PID: 10}, 0},
		{procgroup.Exit{PID: 13, Status: 7}, 0},
		{procgroup.Exit{PID: 10, Status: -1, Signal: "hangup"}, 0}, // too late for it
		{procgroup.Exit{PID: 14, Status: -1, Signal: "hangup"}, 1},
		{procgroup.Exit{PID: 10, Status: 2}, 1},
	} {
		v := newVerdict(t.Output())
		auditExits([]procgroup.Exit{c.exit}, state, v)
		if got := v.found[checkEnd]; got != c.want {
			t.Errorf("%v: %d", c.exit, got)
		}
	}
	v := newVerdict(t.Output())
	state.planned = map[int]string{15: own.FailHang}
	auditExits(nil, state, v)
	if v.found[checkUpgrades] != 1 {
		t.Error("an upgrade that should have failed has not, and nobody says so")
	}
}

func TestTrend(t *testing.T) {
	t.Parallel()
	const samples = 60
	for _, c := range []struct {
		name string
		grow func(c *own.Census, i int)
		want check // empty: none
	}{
		{"flat", func(*own.Census, int) {}, ""},
		{"heap", func(c *own.Census, i int) { c.Heap += i << 19 }, checkMemory},
		{"memory", func(c *own.Census, i int) { c.RSS += i << 19 }, checkMemory},
		{"descriptors", func(c *own.Census, i int) { c.Descriptors += i / 4 }, checkDescriptors},
		{"goroutines", func(c *own.Census, i int) { c.Goroutines += 2 * i }, checkGoroutines},
		{"connections", func(c *own.Census, i int) { c.Descriptors += i; c.Connections += i }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v, rng := newVerdict(t.Output()), rand.New(rand.NewPCG(1, 2))
			var all trend
			for i := range samples {
				s := own.Census{
					Goroutines: 200 + rng.IntN(30), Connections: 180 + rng.IntN(20),
					Heap: 6<<20 + rng.IntN(8<<20), RSS: 20<<20 + rng.IntN(10<<20),
				}
				s.Descriptors = s.Connections + 16 + rng.IntN(3)
				c.grow(&s, i)
				all = append(all, s)
			}
			all.check(v)
			for _, what := range []check{checkMemory, checkDescriptors, checkGoroutines} {
				if got := v.found[what] > 0; got != (what == c.want) {
					t.Errorf("%s: failed is %v", what, got)
				}
			}
		})
	}
}

// TestTrendOfFew: with few samples nothing is said.
func TestTrendOfFew(t *testing.T) {
	t.Parallel()
	v := newVerdict(t.Output())
	var all trend
	for i := range 3*minPart - 1 {
		all = append(all, own.Census{Heap: i << 30})
	}
	all.check(v)
	if first, _ := all.thirds(); first != nil || v.err() != nil {
		t.Errorf("%v, %v", first, v.err())
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	at := time.Unix(1000, 0)
	history := []generation{{pid: 1, handed: at}, {pid: 2, handed: at, ended: at.Add(time.Second)}, {pid: 3}}

	v := newVerdict(t.Output())
	w := watch{verdict: v, told: map[int]bool{}}
	w.judge(at, maxLive, []int{7, 8}, history)
	w.judge(at.Add(zombieAfter), 2, []int{7}, history)
	w.judge(at.Add(overdue), 0, []int{8}, history)
	if v.err() != nil || w.most != maxLive || w.now != 0 {
		t.Errorf("most %d, now %d: %v", w.most, w.now, v.err())
	}
	for range 2 {
		w.judge(at.Add(overdue+1), maxLive+1, []int{8}, history)
	}
	w.judge(at.Add(overdue+zombieAfter+1), 0, []int{8}, history)
	if live := v.found[checkGenerations]; live != 3 { // two looks at too many, and the one that is late
		t.Errorf("%d failures of %s", live, checkGenerations)
	}
	if v.found[checkZombies] != 1 {
		t.Errorf("%d failures of %s", v.found[checkZombies], checkZombies)
	}
}
