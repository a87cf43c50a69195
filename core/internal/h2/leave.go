package h2

import (
	"net"
	"sync"
	"time"
)

// Leave asks the client to leave and, when it has heard that or wait is over, has the server leave. It
// returns then, or when the connection has ended. The first call counts, any other returns at once.
func (c *Conn) Leave(wait time.Duration) {
	if c.asked.Swap(true) {
		return
	}
	c.writes.mu.Lock()
	if c.owes() && c.writes.out.open() {
		_ = c.firstStep() // the server notices when it writes
	}
	c.writes.mu.Unlock()
	select {
	case <-c.first:
	case <-c.ended:
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-c.acked: // who read that tells the server
	case <-c.ended:
	case <-t.C:
		c.reads.wake(c.Conn)
	}
}

// AwaitAnswer returns when the client has answered the PING behind the first GOAWAY, the connection has ended, or wait is
// over.
func (c *Conn) AwaitAnswer(wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-c.acked:
	case <-c.ended:
	case <-t.C:
	}
}

// Left reports whether the client has been asked to leave, or will be as soon as
// the server has written its frame.
func (c *Conn) Left() bool { return c.asked.Load() }

// writeState is what goes to the client.
type writeState struct {
	mu       sync.Mutex // held while something is written
	out      scanner
	answer   answer // that comes before the frames
	deadline writeDeadline
}

// owes reports whether the first GOAWAY is to be sent.
func (c *Conn) owes() bool { return c.asked.Load() && !isClosed(c.first) }

// Write passes the server's frames on, and puts ours in between.
func (c *Conn) Write(b []byte) (int, error) {
	c.writes.mu.Lock()
	defer c.writes.mu.Unlock()
	done := 0
	if c.owes() && !c.writes.answer.comes {
		if at := c.writes.out.gap(b); at >= 0 {
			n, err := c.pass(b[:at])
			if err == nil {
				err = c.firstStep()
			}
			if done = n; err != nil {
				return done, err
			}
		}
	}
	n, err := c.pass(b[done:])
	if done += n; err == nil && c.owes() && c.writes.out.open() {
		err = c.firstStep() // Leave waits for the mutex, or has come since
	}
	return done, err
}

// pass writes b, and follows what has gone out of it: after a write that timed out
// net/http goes on with the rest (WriteByteTimeout).
func (c *Conn) pass(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := c.Conn.Write(b)
	frames := c.writes.answer.skip(b[:n])
	c.writes.out.follow(frames)
	c.streams.server(frames)
	return n, err
}

// firstStep sends the first GOAWAY and the PING behind it. It is called with the mutex
// held, between two frames of the server's.
func (c *Conn) firstStep() error {
	c.onLeave()
	close(c.first)
	defer c.writes.deadline.suspend(c.Conn)()
	_, err := c.Conn.Write(appendFrame(goAway(maxStream, 0), typePing, 0, 0, c.ping[:]...))
	return err
}

// writeDeadline is the server's deadline for writing. It may have been left behind by a
// write that has ended, and a deadline that has passed breaks a TLS connection at
// the next write (crypto/tls, Conn.SetDeadline); so it does not hold for our frames.
type writeDeadline struct {
	mu        sync.Mutex
	t         time.Time
	suspended bool
}

func (d *writeDeadline) set(nc net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.t = t
	if d.suspended {
		return nil
	}
	return nc.SetWriteDeadline(t)
}

// suspend lifts the deadline until the function that it returns is called.
func (d *writeDeadline) suspend(nc net.Conn) (resume func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended = true
	_ = nc.SetWriteDeadline(time.Time{})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.suspended = false
		_ = nc.SetWriteDeadline(d.t)
	}
}
