package wsmove

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core"
)

// process is what package core knows of this process. A test plays two of them in one.
type process struct {
	draining func() <-chan struct{} // of the drain that is under way or comes next; nil if there will be none
	stopping func() bool
	handoff  func(c net.Conn, name string, state []byte) error
	context  func(c net.Conn) context.Context // of the requests on a connection that was adopted
}

var thisProcess = process{
	draining: func() <-chan struct{} { return core.Draining(context.Background()) },
	stopping: new(stopLook).stopping,
	handoff:  core.Handoff,
	context:  core.HandoffContext,
}

// stopLook looks now and then whether this process stops. core.Status counts connections and listeners, and each of
// thousands of connections asks.
type stopLook struct {
	mu    sync.Mutex
	next  time.Time
	stops bool
}

func (l *stopLook) stopping() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !l.stops && now.After(l.next) { // a stop is not undone
		l.next = now.Add(100 * time.Millisecond)
		l.stops = core.Status().State >= core.StateStopping
	}
	return l.stops
}
