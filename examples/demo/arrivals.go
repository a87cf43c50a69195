package main

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// arrival is the first answer of a generation.
type arrival struct {
	pid        int
	generation string
	at         time.Time
}

// arrivals watches the answers for processes that have not answered before.
type arrivals struct {
	c       chan arrival
	current atomic.Pointer[string] // the newest; nearly every answer is its, and costs no lock

	mu    sync.Mutex
	known map[string]bool
}

func newArrivals(first arrival) *arrivals {
	pid := strconv.Itoa(first.pid)
	// More than there can be between two looks at the channel.
	a := &arrivals{c: make(chan arrival, 64), known: map[string]bool{pid: true}}
	a.current.Store(&pid)
	return a
}

// observe is told of every request by the load's clients, concurrently.
func (a *arrivals) observe(s load.Sample) {
	pid := s.Server.PID
	if pid == "" || pid == *a.current.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known[pid] {
		return
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		return
	}
	a.known[pid] = true
	a.current.Store(&pid)
	a.c <- arrival{pid: n, generation: s.Server.Generation, at: s.Start.Add(s.Latency)}
}
