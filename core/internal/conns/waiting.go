package conns

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// SetReadDeadline follows net/http's steps. Our own deadlines are set on c.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if f := c.inClear(); f != nil {
		return f.SetReadDeadline(t)
	}
	if c.boundary.deadline() {
		if s := c.side.Load(); s != nil && !t.IsZero() {
			c.idle.Store(int64(t.Sub(c.table.base) - s.idleTimeout()))
		}
	}
	return c.setReadDeadline(t)
}

// atBoundary reports whether a Read with room for b is the wait for a request of
// which net/http has nothing yet.
func (c *Conn) atBoundary(b []byte) bool {
	if c.boundary.begun.Load() {
		return false
	}
	switch State(c.state.Load()) {
	case New:
		return true
	case Idle:
		if c.boundary.proves(len(b)) {
			return true
		}
		c.boundary.begin() // the rest of it is in net/http's buffer
	}
	return false
}

// readNext reads the first bytes of a request, or moves the connection to the next generation: it then
// returns io.EOF, and net/http closes no more than its own descriptor. A nil b only waits for them.
//
// The order of the two steps on each side is what makes it safe: here the phase is
// set before the mover is looked for; there the mover is set before the phase is
// looked at. And once the mover has woken the connection, this side waits until
// the deadline that it did so with is set, because net/http sets its own next.
func (c *Conn) readNext(s *Side, b []byte) (int, error) {
	if closeReason(c.closing.Load()) == closedMoved {
		return 0, io.EOF // net/http may look once more, for HTTP/2
	}
	busy := false // a part of a record has come: the rest of it must, before the connection can move
	for {
		c.boundary.startWait()
		if m := c.mover(); m != nil && !busy && m.welcomes(c) {
			c.stopWaiting(s)
			err := m.Leave(c, c.description())
			if err == nil {
				return 0, io.EOF
			}
			if busy = errors.Is(err, tls13.ErrBusy); !busy {
				c.boundary.refused = m
			}
			continue
		}
		n, err := c.waitOrRead(b)
		busy = false
		if c.stopWaiting(s) && n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue // to move it, if it has not been refused meanwhile
		}
		if n > 0 && b != nil {
			c.boundary.begin()
			if c.Is(New) {
				c.noteFirst(s, b[:n])
			}
		}
		return n, err
	}
}

// Park looks after an adopted connection until a request comes, and then gives it to
// its server: so its idle time goes on, and a client that has gone is not served. It is for those that Table.Park does
// not take.
func (c *Conn) Park() {
	s := c.side.Load()
	_ = c.passReadDeadline(c.patience(s))
	n, err := c.readNext(s, nil)
	if errors.Is(err, os.ErrDeadlineExceeded) && c.pending() {
		n = 1 // it came in time, on its way here
	}
	if n == 0 {
		_ = c.Close() // moved on, gone, or idle for too long
		return
	}
	_ = c.passReadDeadline(NoDeadline)
	c.idle.Store(c.table.now())
	c.giveTo(s)
}

// giveTo gives it to the server that is to accept it.
func (c *Conn) giveTo(s *Side) {
	select {
	case s.Adopted <- c:
	case <-s.Over:
		_ = c.Close()
	}
}

// mover returns what moves the connection to the next generation, or nil if it stays.
func (c *Conn) mover() *Mover {
	if m := c.table.moves(c); m != c.boundary.refused && m.takes(c.over != nil) {
		return m
	}
	return nil
}

func (c *Conn) waitOrRead(b []byte) (int, error) {
	if b != nil {
		return c.Conn.Read(b)
	}
	rc, err := c.socket()
	if err != nil {
		return 0, err
	}
	return fd.Await(rc)
}

// stopWaiting ends the wait, and reports whether the mover has woken the connection.
// If so, the deadline is set to what it was.
func (c *Conn) stopWaiting(s *Side) (wasWoken bool) {
	if c.boundary.change(waits, waitsNot) {
		return false
	}
	c.table.waking.Lock() // the mover has set the deadline
	c.boundary.change(woken, waitsNot)
	c.table.waking.Unlock()
	_ = c.passReadDeadline(c.patience(s))
	return true
}

// invite lets the connection offer itself to the mover, when it has answered the next request.
func (c *Conn) invite() { c.invited.Store(c.table.moves(c)) }

// recent reports whether it has just answered a request, so that the next one is likely to come soon. One that is not
// known to have done so since the upgrade began has not.
func (c *Conn) recent() bool {
	since := c.idle.Load()
	return since != 0 && c.table.now()-since < int64(recent) && !c.http2.Load()
}

// wake makes a connection that waits for a request look for the mover.
func (c *Conn) wake() {
	if c.MoveHTTP2() {
		return
	}
	c.invite()
	if !c.boundary.waiting() {
		return
	}
	c.table.waking.Lock()
	defer c.table.waking.Unlock()
	if c.boundary.change(waits, woken) {
		_ = c.passReadDeadline(LongAgo)
	}
}

// Deadlines: one that has passed, and none.
var (
	LongAgo    = time.Unix(1, 0)
	NoDeadline time.Time
)

// patience is when net/http ends the wait for the next request: the deadline that
// was set before the mover set its own. The zero time is never.
func (c *Conn) patience(s *Side) time.Time {
	d := s.idleTimeout()
	if c.boundary.unused || c.Is(New) {
		d = s.headerTimeout()
	}
	if d <= 0 {
		return NoDeadline
	}
	return time.Now().Add(d - c.idleFor())
}

// idleFor is how long nothing has happened on the connection, 0 if it is not known.
func (c *Conn) idleFor() time.Duration {
	since := c.idle.Load()
	if since == 0 {
		return 0
	}
	return time.Duration(c.table.now() - since)
}

// description is what the next generation needs to know.
func (c *Conn) description() wire.Conn {
	return wire.Conn{
		Listener:   &wire.Listener{Network: c.from.Network, Address: c.from.Address},
		IdleMillis: c.idleFor().Milliseconds(),
		Unused:     c.boundary.unused || c.Is(New),
	}
}

// Transport returns nc if it is nothing but its descriptor, so that what moves with that is all there is.
func Transport(nc net.Conn) (syscall.Conn, bool) {
	switch v := nc.(type) {
	case *net.TCPConn:
		return v, true
	case *net.UnixConn:
		return v, true
	}
	return nil, false
}

// isBackgroundRead reports whether a Read of one byte is how net/http notices while a handler runs that the
// client has gone, in a generation that hands its connections over. While a chunked body is read, one byte
// may also be what is free in the buffer, and HTTP/2 reads as many as a frame has.
func (c *Conn) isBackgroundRead() bool {
	return c.Is(Active) && c.table.moves(c) != nil && !c.boundary.chunked && c.boundary.http1.Load()
}

// noteFirst looks at the first bytes of a connection: are they HTTP/2's (RFC 9113,
// section 3.4)? Too few of them do not tell; boundary.note may.
func (c *Conn) noteFirst(s *Side, b []byte) {
	const preface = "PRI * HTTP/2.0"
	n := min(len(b), len(preface))
	switch {
	case !s.H2C || string(b[:n]) != preface[:n]:
		c.boundary.speaksHTTP1()
	case n == len(preface):
		c.http2.Store(true)
	}
}

// watch is that Read without taking the byte: it may be the first of the next
// request, which would have to stay here then.
func (c *Conn) watch() (int, error) {
	rc, err := c.socket()
	if err != nil {
		return 0, err
	}
	if err := fd.AwaitEnd(rc); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

// Movable reports whether the connection will move when the request that it carries has been answered. In the
// last stretch of a drain it is not relied upon: a client that always sends ahead has no boundary to move at.
func (c *Conn) Movable(r *http.Request) bool {
	return c.CanMove() && r.ProtoMajor == 1 && c.mover() != nil && !c.table.InLastStretch()
}
