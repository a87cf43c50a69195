package core

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/gracex-go/gracex/core/internal/conns"
)

// phase is where this process stands in its life. The lifecycle writes it, and any goroutine may
// read it. What closes stays closed, but for what a process that serves again renews: draining,
// deadline, asksToLeave and goodbye. Make it with newPhase.
type phase struct {
	state     atomic.Uint32 // a State
	accepting chan struct{} // closed by Ready: connections may be accepted

	draining    atomic.Bool
	deadline    atomic.Int64    // when the drain is cut, in Unix milliseconds; 0: none has begun, or it has no limit
	asksToLeave atomic.Bool     // clients are asked to come back on a new connection
	goodbye     *conns.Goodbye  // the drain begins
	life        context.Context // ends when the process stops or hands over
	endLife     context.CancelFunc

	mainWaits atomic.Bool   // main's goroutine waits for the end
	mainEnds  chan struct{} // closed when that goroutine is to end: the process becomes the supervisor

	cut      chan struct{} // closed to end the drain now
	cutOnce  sync.Once
	cutWhy   string        // valid once cut is closed
	finished chan struct{} // closed when the drain has ended
	goesOn   chan struct{} // closed when main may go on: then, or when the service that this process supervises has ended
	done     chan struct{} // closed when everything has
	err      error         // valid once done is closed
}

// newPhase is the phase of a process that starts.
func newPhase() *phase {
	p := &phase{
		accepting: make(chan struct{}),
		goodbye:   conns.NewGoodbye(),
		mainEnds:  make(chan struct{}),
		cut:       make(chan struct{}),
		finished:  make(chan struct{}),
		goesOn:    make(chan struct{}),
		done:      make(chan struct{}),
	}
	p.state.Store(uint32(StateStarting))
	p.life, p.endLife = context.WithCancel(context.Background())
	return p
}
