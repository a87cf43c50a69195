package core

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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
	// large is a heap of the program's own that takes long to collect, and perConn what a connection had of the rest, in
	// bytes.
	large   = 256 << 20
	perConn = 32 << 10
)

// look gives memory back, once, when no more connections have moved for a while.
func (t *thrift) look(moved uint64) {
	switch {
	case t.done:
	case moved != t.moved:
		t.moved, t.since = moved, time.Now()
	case moved > 0 && time.Since(t.since) >= timing.GiveBack:
		t.done = true
		go giveBack(moved)
	}
}

// giveBack leaves a large heap alone. It collects three times, because what is in a sync.Pool lives through one
// collection, and what has a finalizer through another.
func giveBack(moved uint64) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if stats.Sys-stats.HeapReleased < worth || live[0].Value.Kind() != metrics.KindUint64 ||
		live[0].Value.Uint64() > large+moved*perConn {
		return
	}
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory() // which collects, too
}
