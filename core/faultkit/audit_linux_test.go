package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

var start0 = time.Unix(1000, 0)

// sampleBooks are of three generations and their clients, and agree.
func sampleBooks() *books {
	at := func(seconds int) time.Time { return start0.Add(time.Duration(seconds) * time.Second) }
	history := []generation{
		{
			pid: 10, current: at(0), handed: at(1), ended: at(3), took: 30 * time.Millisecond,
			ledger: map[string]int{"accepted": 5, "served": 20, "moved": 4, "closed_politely": 1},
		},
		{
			pid: 11, current: at(1), handed: at(2), ended: at(4), took: 10 * time.Millisecond,
			ledger: map[string]int{"accepted": 2, "served": 7, "adopted": 4, "moved": 5},
		},
		{pid: 12, current: at(2), ended: at(6), ledger: map[string]int{"served": 1, "adopted": 5}},
	}
	clients := load.Result{Connects: 7, Served: map[load.Server]int{
		{PID: "10", Generation: "0"}: 20, {PID: "11", Generation: "1"}: 7, {PID: "12", Generation: "2"}: 1,
	}}
	b := &books{journalState: &journalState{history: history, onPurpose: []int{13}}, clients: clients}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		c := own.Census{
			Goroutines: 200 + rng.IntN(30), Connections: 180 + rng.IntN(20),
			Heap: 6<<20 + rng.IntN(8<<20), RSS: 20<<20 + rng.IntN(10<<20),
		}
		c.Descriptors = c.Connections + 16 + rng.IntN(3)
		b.trend = append(b.trend, c)
	}
	return b
}

func TestAudit(t *testing.T) {
	t.Parallel()
	returns := func(generation int, at time.Duration) func(*books) {
		return func(b *books) { b.returns = []comeback{{generation: generation, at: start0.Add(at)}} }
	}
	exit := func(e procgroup.Exit) func(*books) { return func(b *books) { b.exits = append(b.exits, e) } }
	grow := func(by func(c *own.Census, i int)) func(*books) {
		return func(b *books) {
			for i := range b.trend {
				by(&b.trend[i], i)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*books)
		want  check // empty: none
	}{
		{"nothing", func(*books) {}, ""},
		{"an answer too few", func(b *books) { b.clients.Served[load.Server{PID: "11", Generation: "1"}]-- }, checkLedgers},
		{"of no generation", func(b *books) { b.clients.Served[load.Server{PID: "13", Generation: "3"}]++ }, checkLedgers},
		{"a request too many", func(b *books) { b.history[2].ledger["served"]++ }, checkLedgers},
		{"a connection not adopted", func(b *books) { b.history[1].ledger["adopted"]-- }, checkLedgers},
		{"adopted twice", func(b *books) { b.history[1].ledger["adopted"]++; b.history[2].ledger["adopted"]-- }, checkLedgers},
		{"past one that has ended", func(b *books) { b.history[1].ledger["adopted"]--; b.history[2].ledger["adopted"]++ }, ""},
		{"a connection too many", func(b *books) { b.history[0].ledger["accepted"]++ }, checkLedgers},
		{"a dial too many", func(b *books) { b.clients.Connects++ }, checkLedgers},
		{"refused", func(b *books) { b.history[0].ledger["refused"]++ }, checkLedgers},
		{"cut", func(b *books) { b.history[1].ledger["cut_hijacked"]++ }, checkLedgers},
		{"closed idle", func(b *books) { b.history[1].ledger["closed_idle"]++ }, checkLedgers},
		{"no ledger", func(b *books) { b.history[1].ledger = nil }, checkLedgers},

		// To come back to a generation is right around its handover only.
		{"back at the handover", returns(0, time.Second), ""},
		{"back before it", returns(0, time.Second-handingOver), ""},
		{"back long before it", returns(0, time.Second-handingOver-1), checkConnections},
		{"back long after it", returns(1, 2*time.Second+handingOver+1), checkConnections},
		{"back without one", returns(2, 2*time.Second), checkConnections},

		{"exits well", exit(procgroup.Exit{PID: 10}), ""},
		{"exits on purpose", exit(procgroup.Exit{PID: 13, Status: 7}), ""},
		{"a signal too late", exit(procgroup.Exit{PID: 10, Status: -1, Signal: "hangup"}), ""},
		{"a signal", exit(procgroup.Exit{PID: 14, Status: -1, Signal: "hangup"}), checkEnd},
		{"exits badly", exit(procgroup.Exit{PID: 10, Status: 2}), checkEnd},
		{"has not failed", func(b *books) { b.planned = map[int]string{15: own.FailHang} }, checkUpgrades},

		{"heap", grow(func(c *own.Census, i int) { c.Heap += i << 19 }), checkMemory},
		{"memory", grow(func(c *own.Census, i int) { c.RSS += i << 19 }), checkMemory},
		{"descriptors", grow(func(c *own.Census, i int) { c.Descriptors += i / 4 }), checkDescriptors},
		{"goroutines", grow(func(c *own.Census, i int) { c.Goroutines += 2 * i }), checkGoroutines},
		{"connections", grow(func(c *own.Census, i int) { c.Descriptors += i; c.Connections += i }), ""},
		{"few samples", func(b *books) {
			b.trend = b.trend[:3*minPart-1]
			grow(func(c *own.Census, i int) { c.Heap += i << 25 })(b)
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, b := newVerdict(t.Output()), sampleBooks()
			tt.spoil(b)
			s := b.audit(v)
			for c := range v.found {
				if c != tt.want {
					t.Errorf("the check on %s has failed", c)
				}
			}
			if tt.want != "" && v.found[tt.want] == 0 {
				t.Errorf("the check on %s has held", tt.want)
			}
			took := []time.Duration{10 * time.Millisecond, 30 * time.Millisecond}
			if tt.want == "" && (s.accepted != 7 || s.moved != 9 || s.longest != 2*time.Second || !slices.Equal(s.took, took)) {
				t.Errorf("%+v", s)
			}
		})
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
