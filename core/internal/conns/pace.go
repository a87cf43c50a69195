package conns

import (
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// Pace spreads what is done to many connections, one batch after the other, so that clients with requests do not feel
// it. While nobody has any it knows no rest. It is one goroutine's. Make it with NewPace.
type Pace struct {
	// MakesUp is how late whoever looks only now and then comes after a rest, and makes up for. Zero: it comes in time.
	MakesUp time.Duration

	served func() uint64
	last   uint64
	seen   time.Time // when a request is last known to have been answered
	busy   bool
	batch  int       // while that is so
	due    time.Time // when the rest ends
	until  time.Time // when all is to be done
}

// How fast it is. Of two processors the work on a batch takes both, so that a sixth of the time is taken from the
// requests, in pieces that a request hardly notices.
const (
	Gentle = 8                     // connections at a time while requests are served
	rests  = 5                     // how many times as long as a batch the rest after it is
	calm   = 8 * time.Millisecond  // so long without a request shows that nobody has any: they come in bursts
	recent = 20 * time.Millisecond // who has answered so lately is about to do so again
	weight = Gentle / 2            // of such a connection, whose client waits while it moves
)

// NewPace makes the pace of work that is to be done by a time, whatever the load. It begins as if there were requests.
// Served counts those that this process has answered.
func NewPace(served func() uint64, until time.Time) *Pace {
	now := time.Now()
	return &Pace{served: served, last: served(), seen: now, busy: true, batch: Gentle, due: now, until: until}
}

// Batch is how many connections come next.
func (p *Pace) Batch() int {
	if p.busy {
		return p.batch
	}
	return fd.MaxFiles
}

// Due is when the next batch comes.
func (p *Pace) Due() time.Time { return p.due }

// Rests reports whether it is too early for the next batch.
func (p *Pace) Rests() bool { return time.Now().Before(p.due) }

// Worked notes that a batch has taken some time, with so many connections left. Elsewhere says that another process,
// which shares the work, has answered requests meanwhile.
func (p *Pace) Worked(took time.Duration, left int, elsewhere bool) {
	n, now := p.served(), time.Now()
	if elsewhere || n != p.last {
		p.seen = now
	}
	p.busy, p.last = now.Sub(p.seen) < calm, n
	if earliest := now.Add(-p.MakesUp); p.due.Before(earliest) {
		p.due = earliest
	}
	if !p.busy || left == 0 {
		p.due = now
		return
	}
	p.batch = fd.MaxFiles
	if rest := p.until.Sub(now); rest > 0 { // larger batches, if there is no time for so many
		needs := int64(left)*int64(took)/int64(rest) + 1
		p.batch = int(min(max(needs, Gentle), fd.MaxFiles))
	}
	batches := time.Duration((left + p.batch - 1) / p.batch)
	p.due = p.due.Add(max(min(rests*took, p.until.Sub(now)/batches-took), 0))
	if p.due.After(p.until) {
		p.due = p.until
	}
}
