package main

import (
	"cmp"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// part is the samples of a part of the run, or of all of it.
type part []own.Census

// trend is what generations held when they were of the same age.
type trend struct {
	mu      sync.Mutex
	samples part
}

func (t *trend) add(c own.Census) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.samples = append(t.samples, c)
}

// all returns the samples so far.
func (t *trend) all() part {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.samples)
}

// minPart is how many samples each part of the run has to have: fewer say little.
const minPart = 4

// thirds returns the first and the last third of the samples, and nothing if there
// are too few.
func (p part) thirds() (first, last part) {
	n := len(p) / 3
	if n < minPart {
		return nil, nil
	}
	return p[:n], p[len(p)-n:]
}

// at is a quantile of each measure by itself. Descriptors without connections are
// kept: each of the two varies more than what is between them.
func (p part) at(q float64) own.Census {
	c := own.Census{
		Goroutines:  quantile(p, q, func(c own.Census) int { return c.Goroutines }),
		Connections: quantile(p, q, func(c own.Census) int { return c.Connections }),
		Heap:        quantile(p, q, func(c own.Census) uint64 { return c.Heap }),
		RSS:         quantile(p, q, func(c own.Census) uint64 { return c.RSS }),
	}
	c.Descriptors = c.Connections + quantile(p, q, own.Census.Own)
	return c
}

func quantile[T cmp.Ordered](p part, q float64, of func(own.Census) T) T {
	values := make([]T, len(p))
	for i, c := range p {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values[int(q*float64(len(values)-1)+0.5)]
}

// How much more than it was something may be, beyond noise: a share of it, and
// what one more of something takes.
const (
	share        = 0.1
	moreMemory   = 2 << 20
	moreOwn      = 2
	moreOfOthers = 8
	quiteLow     = 0.25
	quiteHigh    = 0.75
	inTheMiddle  = 0.5
)

func grown[T int | uint64](was, is, more T) bool {
	return float64(is) > float64(was)*(1+share)+float64(more)
}

// check compares the last part of the run with the first: what is quite low there
// with what is quite high here, because what a generation holds in a moment depends
// on what it is asked just then.
func (t *trend) check(v *verdict) {
	first, last := t.all().thirds()
	if first == nil {
		return // the summary says so
	}
	was, is := first.at(quiteHigh), last.at(quiteLow)
	if grown(was.Heap, is.Heap, moreMemory) {
		v.fail(checkMemory, "the heap of a generation grows over the run, from %s to %s", size(was.Heap), size(is.Heap))
	}
	if grown(was.RSS, is.RSS, moreMemory) {
		v.fail(checkMemory, "the memory of a generation grows over the run, from %s to %s", size(was.RSS), size(is.RSS))
	}
	if is.Own() > was.Own()+moreOwn {
		v.fail(checkDescriptors, "they grow over the run, without those of clients from %d to %d", was.Own(), is.Own())
	}
	if grown(was.Goroutines, is.Goroutines, moreOfOthers) {
		v.fail(checkGoroutines, "they grow over the run, from %d to %d", was.Goroutines, is.Goroutines)
	}
}
