package conns

import (
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// deadlines are those of a connection that speaks HTTP/1. For each request net/http sets the read deadline six times and
// the write deadline once: without any timeout, five of the seven say again that there is none, and the other two end the
// Read of one byte by which it notices that the client has gone. That Read has seldom begun by then. So two kinds are kept
// from the socket: those that change nothing, and one in the past, while nobody reads, with the one that takes it back.
//
// These hold while the connection is not hijacked:
//
//   - read and write are noDeadline only while the socket has none. They change under mu only.
//   - A Read that begins while read is heldBack ends at once, and one that has begun before is ended by the socket:
//     whoever begins one says so in reads before looking at read, and whoever holds a deadline back says so in read
//     before looking at reads.
type deadlines struct {
	spare bool // else all are passed on; set before anybody reads

	mu          sync.Mutex    // held while one is passed on
	read, write atomic.Uint32 // a deadlineState
	reads       atomic.Int32  // that are under way
}

// deadlineState is what the socket has.
type deadlineState uint32

const (
	someDeadline deadlineState = iota // perhaps
	noDeadline
	heldBack // none, and a Read is to end as if it had one in the past
)

// SpareDeadlines keeps those from the socket that change nothing, if the connection can move. It is for those whose
// socket nobody has but its server, and is called before that reads.
func (c *Conn) SpareDeadlines() { c.deadlines.spare = c.CanMove() }

// sparing reports whether deadlines are kept from the socket now. With HTTP/2 others set them, too, and so does a
// handler that has taken the connection over.
func (c *Conn) sparing() bool {
	return c.deadlines.spare && c.boundary.http1.Load() && !c.Is(Hijacked)
}

// beginRead returns an error if a deadline is held back for a Read with that much room. Otherwise endRead is to follow.
func (c *Conn) beginRead(room int) error {
	d := &c.deadlines
	if !d.spare {
		return nil
	}
	d.reads.Add(1)
	if deadlineState(d.read.Load()) != heldBack {
		return nil
	}
	if room == 1 {
		d.reads.Add(-1)
		return os.ErrDeadlineExceeded
	}
	c.passHeldBack() // a handler has set it: the error is to be the socket's
	return nil
}

func (c *Conn) endRead() {
	if c.deadlines.spare {
		c.deadlines.reads.Add(-1)
	}
}

// setReadDeadline sets the deadline, or keeps it from the socket.
func (c *Conn) setReadDeadline(t time.Time) error {
	if c.sparing() && (t.IsZero() && deadlineState(c.deadlines.read.Load()) == noDeadline || c.holdsBack(t)) {
		return nil
	}
	return c.passReadDeadline(t)
}

// holdsBack reports whether the deadline is kept from the socket because it is one in the past, or takes that back.
func (c *Conn) holdsBack(t time.Time) bool {
	d := &c.deadlines
	d.mu.Lock()
	defer d.mu.Unlock()
	switch was := deadlineState(d.read.Load()); {
	case was == heldBack && t.IsZero():
		d.read.Store(uint32(noDeadline))
		return true
	case was == noDeadline && t.Equal(LongAgo) && !c.Is(Hijacked):
		d.read.Store(uint32(heldBack))
		return d.reads.Load() == 0
	}
	return false
}

// passHeldBack sets on the socket what was held back.
func (c *Conn) passHeldBack() {
	d := &c.deadlines
	d.mu.Lock()
	defer d.mu.Unlock()
	if deadlineState(d.read.Load()) == heldBack {
		d.read.Store(uint32(someDeadline))
		_ = c.Conn.SetReadDeadline(LongAgo)
	}
}

// setWriteDeadline sets the deadline, or keeps it from the socket.
func (c *Conn) setWriteDeadline(t time.Time) error {
	if t.IsZero() && deadlineState(c.deadlines.write.Load()) == noDeadline && c.sparing() {
		return nil
	}
	return c.deadlines.pass(c.Conn.SetWriteDeadline, t, &c.deadlines.write)
}

// passReadDeadline sets the deadline of the socket.
func (c *Conn) passReadDeadline(t time.Time) error {
	return c.deadlines.pass(c.Conn.SetReadDeadline, t, &c.deadlines.read)
}

// passDeadline sets both.
func (c *Conn) passDeadline(t time.Time) error {
	return c.deadlines.pass(c.Conn.SetDeadline, t, &c.deadlines.read, &c.deadlines.write)
}

// pass sets a deadline of the socket, and notes whether that has one.
func (d *deadlines) pass(set func(time.Time) error, t time.Time, states ...*atomic.Uint32) error {
	if !d.spare {
		return set(t)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, state := range states {
		state.Store(uint32(someDeadline))
	}
	err := set(t)
	if err == nil && t.IsZero() {
		for _, state := range states {
			state.Store(uint32(noDeadline))
		}
	}
	return err
}
