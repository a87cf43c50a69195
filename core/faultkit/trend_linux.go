package main

import (
	"cmp"
	"slices"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// trend is what generations held when they were of the same age, in all of the run or a part of it.
type trend []own.Census

// minPart is how many samples each part of the run has to have: fewer say little.
const minPart = 4

// thirds returns the first and the last third of the samples, and nothing if there
// are too few.
func (t trend) thirds() (first, last trend) {
	n := len(t) / 3
	if n < minPart {
		return nil, nil
	}
	return t[:n], t[len(t)-n:]
}

// at is a quantile of each measure by itself. Descriptors without connections are
// kept: each of the two varies more than what is between them.
func (t trend) at(q float64) own.Census {
	c := own.Census{
		Goroutines:  quantile(t, q, func(c own.Census) int { return c.Goroutines }),
		Connections: quantile(t, q, func(c own.Census) int { return c.Connections }),
		Heap:        quantile(t, q, func(c own.Census) uint64 { return c.Heap }),
		RSS:         quantile(t, q, func(c own.Census) uint64 { return c.RSS }),
	}
	c.Descriptors = c.Connections + quantile(t, q, own.Census.Own)
	return c
}

func quantile[T cmp.Ordered](t trend, q float64, of func(own.Census) T) T {
	values := make([]T, len(t))
	for i, c := range t {
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
func (t trend) check(v *verdict) {
	first, last := t.thirds()
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

// compareQuiet compares the last generation with the first one, when nobody asks them.
func compareQuiet(first, last sample, v *verdict) {
	if last.Goroutines > first.Goroutines {
		v.fail(checkGoroutines, "%d are left of %d when nobody asks any more", last.Goroutines, first.Goroutines)
	}
	if last.Descriptors > first.Descriptors {
		v.fail(checkDescriptors, "%d are left of %d when nobody asks any more", last.Descriptors, first.Descriptors)
	}
	if grown(first.Heap, last.Heap, moreMemory) {
		v.fail(checkMemory, "%s of heap are left, %s was used before, when nobody asks any more", size(last.Heap), size(first.Heap))
	}
}
