package core

import (
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// thrift has a process that drains give back the memory of the connections that it had. The runtime would keep it for
// those that do not come any more, for as long as the last request takes.
type thrift struct {
	moved uint64
	since time.Time // when the count has changed last; zero before the first
	done  bool
}

const (
	// worth is how much memory is worth the collections, in bytes.
	worth = 16 << 20
	// large is a heap that takes long to collect, in bytes. It is the program's own: connections leave little behind.
	large = 256 << 20
)

// look gives memory back, once, when no more connections have moved for a while.
func (t *thrift) look(moved uint64) {
	switch {
	case t.done:
	case moved != t.moved:
		t.moved, t.since = moved, time.Now()
	case moved > 0 && time.Since(t.since) >= timing.GiveBack:
		t.done = true
		go giveBack()
	}
}

// giveBack does not go on if what is left of the heap is large.
func giveBack() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	if stats.Sys-stats.HeapReleased < worth {
		return
	}
	runtime.GC()
	if runtime.ReadMemStats(&stats); stats.HeapAlloc > large {
		return
	}
	runtime.GC() // what is in a sync.Pool lives through one
	debug.FreeOSMemory()
}
