package conns

import (
	"cmp"
	"errors"
	"net/http"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
)

// Side is the server that speaks HTTP on a connection.
type Side struct {
	HTTP    *http.Server              // nil: it is not net/http's, speaks HTTP/2 alone, and sees to it by itself that clients leave
	H2C     bool                      // it speaks HTTP/2 in the clear, too
	From    *Origin                   // nil when the program brought the listener
	Adopted chan *Conn                // moved here, with a request to read
	Over    <-chan struct{}           // closed when it serves no more
	Follow  func(c *Conn, f *h2.Conn) // notes that c carries HTTP/2 in the clear
	Leave   func(f *h2.Conn)          // has the client of a connection that does not move leave

	// Moves returns an error if its HTTP/2 connections in the clear can't move.
	Moves func() error
	// Greeting is what its HTTP/2 connections in the clear are told first. An error says that none moves here.
	Greeting func() (*h2.Greeting, error)
}

// Parks reports whether a connection that waits for a request needs no server. One that is not net/http's has timers of
// its own.
func (s *Side) Parks() bool { return s.HTTP != nil }

// ErrNoHTTP1 is for a server that speaks HTTP/2 alone.
var ErrNoHTTP1 = errors.New("the new process does not speak HTTP/1 there")

// Takes returns an error if it does not take a connection over that speaks HTTP/1, or is in this state of HTTP/2.
func (s *Side) Takes(st *h2.State) error {
	if st != nil {
		return s.takesHTTP2(st)
	}
	if s.HTTP == nil {
		return ErrNoHTTP1
	}
	return nil
}

// idleTimeout is net/http's rule.
func (s *Side) idleTimeout() time.Duration {
	return cmp.Or(s.HTTP.IdleTimeout, s.HTTP.ReadTimeout)
}

// headerTimeout is net/http's rule for the first request of a connection.
func (s *Side) headerTimeout() time.Duration {
	return cmp.Or(s.HTTP.ReadHeaderTimeout, s.HTTP.ReadTimeout)
}
