package conns

import (
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// Pace spreads what is done to many connections, one batch after the other, so that clients with requests do not feel
// it. While nobody has any it knows no rest. It is one goroutine's. Make it with NewPace.
type Pace struct {
	served func() uint64
	last   uint64
	busy   bool
	until  time.Time // zero: no bound
}

// How fast it is. Of two processors the work on a batch takes both, so that a quarter of the time is taken from the
// requests, in pieces that a request hardly notices.
const (
	gentle = 32 // connections at a time while requests are served
	rests  = 3  // how many times as long as a batch the rest after it is
)

// NewPace makes the pace of work that is to be done by a time, whatever the load; zero is no such time. It begins as if
// there were requests. Served counts those that this process has answered.
func NewPace(served func() uint64, until time.Time) *Pace {
	return &Pace{served: served, last: served(), busy: true, until: until}
}

// Batch is how many connections come next.
func (p *Pace) Batch() int {
	if p.busy {
		return gentle
	}
	return fd.MaxFiles
}

// Rest is how long to leave the processors to the requests after a batch that has taken some time, when so many
// connections are left. Elsewhere says that another process, which shares the work, has answered requests meanwhile.
func (p *Pace) Rest(took time.Duration, left int, elsewhere bool) time.Duration {
	n := p.served()
	p.busy, p.last = elsewhere || n != p.last, n
	if !p.busy || left == 0 {
		return 0
	}
	rest := rests * took
	if !p.until.IsZero() {
		batches := (left + gentle - 1) / gentle
		rest = min(rest, time.Until(p.until)/time.Duration(batches)-took)
	}
	return max(rest, 0)
}
