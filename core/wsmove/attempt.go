package wsmove

import (
	"sync"
	"sync/atomic"
)

// attempt is one try to move a connection, or to end it between two messages.
type attempt struct {
	paused chan struct{} // closed when nothing is read from the connection any more
	sealed chan struct{} // closed when it is known whether the connection is sealed
	ended  chan struct{} // closed to give the program ErrMoving
	undone chan struct{} // closed if the connection stays as it is

	pauseOnce sync.Once

	seals      atomic.Bool // writing is to stop between two messages
	interrupts atomic.Bool // ... and a write that hangs is interrupted
}

func newAttempt() *attempt {
	return &attempt{paused: make(chan struct{}), sealed: make(chan struct{}), ended: make(chan struct{}), undone: make(chan struct{})}
}

// pause notes that nothing is read any more.
func (a *attempt) pause() { a.pauseOnce.Do(func() { close(a.paused) }) }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
