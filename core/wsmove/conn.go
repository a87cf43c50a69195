package wsmove

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is the connection that the library gets from Hijack. reader.go has its Read, writer.go its Write.
type conn struct {
	net.Conn // the real one
	s        *Session
	secure   bool // it is over TLS, where a Write that is interrupted is the last one

	deadlines deadlines
	in        reader
	out       writer
	attempt   atomic.Pointer[attempt] // that is under way, or has ended the program's part
	gate      *gate                   // of those that have come together; nil without
	arrived   sync.Once

	mu     sync.Mutex
	over   bool          // the program has closed it
	kept   bool          // Close leaves the socket open: the handshake is not answered yet, and the client is to be told why
	sealed bool          // nothing of the program's is written any more
	closed chan struct{} // closed with over
}

func newConn(nc net.Conn, s *Session) *conn {
	return &conn{Conn: nc, s: s, secure: tlsOf(nc) != nil, deadlines: deadlines{socket: nc}, closed: make(chan struct{})}
}

// NetConn returns the connection that was hijacked. What is read from it or written to it is lost in a move.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) SetReadDeadline(t time.Time) error  { return c.deadlines.setRead(t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.deadlines.setWrite(t) }

func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close closes the connection, or ends the program's part in it if it moves.
func (c *conn) Close() error {
	c.mu.Lock()
	first := !c.over
	c.over = true
	stays := c.sealed || c.kept
	c.mu.Unlock()
	if first {
		close(c.closed)
		c.arrive()
	}
	if stays {
		return nil
	}
	c.s.m.remove(c)
	return c.Conn.Close()
}

// keep has Close leave the socket open, and release undoes that: a socket that the program has closed meanwhile is
// closed.
func (c *conn) keep() { c.kept = true }

func (c *conn) release() {
	c.mu.Lock()
	c.kept = false
	over := c.over
	c.mu.Unlock()
	if over {
		_ = c.Conn.Close()
	}
}

// sealUnlessClosed seals c: from here on Close leaves the socket open.
func (c *conn) sealUnlessClosed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.sealed = true
		c.deadlines.letGo()
	}
}

func (c *conn) isSealed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sealed
}

// arrive notes that the program has made the connection its own, and would read from it. Or it is gone.
func (c *conn) arrive() {
	if c.gate != nil {
		c.arrived.Do(c.gate.arrive)
	}
}

// begin begins an attempt: reading is to stop where nothing is lost. It returns nil if one is under way.
func (c *conn) begin() *attempt {
	a := newAttempt()
	if !c.attempt.CompareAndSwap(nil, a) {
		return nil
	}
	c.deadlines.wakeRead()
	if c.in.mu.TryLock() {
		if !c.in.used { // the handler only writes
			a.pause()
		}
		c.in.mu.Unlock()
	}
	return a
}

// undo ends an attempt: the connection stays as it is.
func (c *conn) undo(a *attempt) {
	close(a.undone)
	c.deadlines.restoreRead()
	c.deadlines.restoreWrite()
	c.attempt.Store(nil)
}

// goodbye ends a connection that the program does not use any more, or must not, with a close frame.
func (c *conn) goodbye(code uint16) {
	defer c.Conn.Close()
	_ = c.Conn.SetDeadline(time.Now().Add(c.s.m.goodbyeTime))
	last := c.out.end()
	if last == nil {
		return // in the middle of a frame
	}
	if _, err := c.Conn.Write(append(last, closeFrame(code)...)); err != nil {
		return
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	c.readToTheEnd()
}

// readToTheEnd reads until the client has answered the close frame, or is gone. Closing the socket with bytes unread
// would reset it, and take the frame away from the client. A client that has answered waits for the server to close it
// (RFC 6455, section 7.1.1).
func (c *conn) readToTheEnd() {
	if !c.in.mu.TryLock() { // the handler reads, and nobody knows where a frame begins
		_, _ = io.Copy(io.Discard, c.Conn)
		return
	}
	defer c.in.mu.Unlock()
	frames := c.in.frames
	frames.follow(c.in.pending)
	b := make([]byte, 4<<10)
	for !frames.closed || !frames.atFrame() {
		n, err := c.Conn.Read(b)
		if frames.follow(b[:n]); err != nil {
			return
		}
	}
}
