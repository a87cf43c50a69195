package main

import (
	"math/rand/v2"
	"testing"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

func TestTrend(t *testing.T) {
	t.Parallel()
	const samples = 60
	for _, c := range []struct {
		name string
		grow func(c *own.Census, i int)
		want check // empty: none
	}{
		{"flat", func(*own.Census, int) {}, ""},
		{"heap", func(c *own.Census, i int) { c.Heap += uint64(i) << 19 }, checkMemory},
		{"memory", func(c *own.Census, i int) { c.RSS += uint64(i) << 19 }, checkMemory},
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
					Heap: 6<<20 + rng.Uint64N(8<<20), RSS: 20<<20 + rng.Uint64N(10<<20),
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
		all = append(all, own.Census{Heap: uint64(i) << 30})
	}
	all.check(v)
	if first, _ := all.thirds(); first != nil || v.err() != nil {
		t.Errorf("%v, %v", first, v.err())
	}
}
