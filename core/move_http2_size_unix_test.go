//go:build unix

package core_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// footprint is what a process has of the Go runtime's.
type footprint struct {
	Goroutines int
	Bytes      uint64 // of the heap, without garbage, and of the stacks
}

func takeFootprint() footprint {
	runtime.GC()
	runtime.GC() // what sync.Pool keeps goes with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{runtime.NumGoroutine(), m.HeapAlloc + m.StackInuse}
}

// size is the share of each of n connections.
type size struct{ goroutines, bytes float64 }

func (f footprint) each(n int, without footprint) size {
	return size{
		float64(f.Goroutines-without.Goroutines) / float64(n),
		(float64(f.Bytes) - float64(without.Bytes)) / float64(n),
	}
}

// TestMove_HTTP2ConnectionsDoNotGrow moves idle HTTP/2 connections again and again. A process has no more memory and
// goroutines for each than the one that has accepted them. With CORE_TEST_IDLE=10m there are 1,000 of them and 20
// upgrades in that time.
func TestMove_HTTP2ConnectionsDoNotGrow(t *testing.T) {
	t.Parallel()
	const most = 1.2
	conns, upgrades, idle := 100, 3, time.Duration(0)
	if s := os.Getenv("CORE_TEST_IDLE"); s != "" { // a long form
		var err error
		conns, upgrades = 1000, 20
		idle, err = time.ParseDuration(s)
		must(t, err)
	}
	a, current := serving(t, "-h2c")
	addr := current.Addrs[0]
	take := func() footprint { return getJSON[footprint](t, addr, "/footprint") }
	take()
	without := take()
	clients := make([]*rawhttp.HTTP2, conns)
	ask := func(stream uint32) {
		for _, c := range clients {
			must(t, c.SetDeadline(time.Now().Add(proctest.Patience)))
			c.Ask(stream)
			c.Answered(stream)
		}
	}
	for i := range clients {
		clients[i] = rawhttp.DialHTTP2(t, addr, nil)
	}
	ask(1)
	before := take().each(conns, without)
	t.Logf("accepted: %.2f goroutines and %.0f bytes each", before.goroutines, before.bytes)
	expectNoMore := func(when string) {
		t.Helper()
		now := take().each(conns, without)
		t.Logf("%s: %.2f goroutines and %.0f bytes each", when, now.goroutines, now.bytes)
		if now.goroutines > most*before.goroutines || now.bytes > most*before.bytes {
			t.Errorf("%s: they have grown: %+v, and %+v before", when, now, before)
		}
	}
	for gen := range upgrades {
		time.Sleep(idle / time.Duration(upgrades))
		current = a.next(current)
		a.endsWell(gen)
		expectNoMore("moved " + itoa(gen+1) + " times")
	}
	ask(3)
	expectNoMore("after a request each")
	for _, c := range clients {
		must(t, c.Close())
	}
	a.stopAll(current.PID)
}
