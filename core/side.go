package core

import (
	"cmp"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
)

// origin is the listener that a connection was accepted from.
type origin struct {
	network, address string      // as given to Listen: the next generation knows it by these words
	wrapped          atomic.Bool // a server accepts through a type that hides our connections
}

// side is the server that speaks HTTP on a connection.
type side struct {
	http    *http.Server
	h2c     bool                      // it speaks HTTP/2 in the clear, too
	from    *origin                   // nil when the program brought the listener
	adopted chan *conn                // moved here, with a request to read
	over    <-chan struct{}           // closed when it serves no more
	follow  func(c *conn, f *h2.Conn) // notes that c carries HTTP/2 in the clear
}

// idleTimeout is net/http's rule.
func (s *side) idleTimeout() time.Duration {
	return cmp.Or(s.http.IdleTimeout, s.http.ReadTimeout)
}

// headerTimeout is net/http's rule for the first request of a connection.
func (s *side) headerTimeout() time.Duration {
	return cmp.Or(s.http.ReadHeaderTimeout, s.http.ReadTimeout)
}
