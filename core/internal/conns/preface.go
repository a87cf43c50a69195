package conns

import (
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
)

// HTTP/2 in the clear begins on a connection like any other: net/http reads the first
// bytes, and if they are HTTP/2's preface it serves that. The same bytes come by here.

// SaysGoodbye notes that the client is asked to leave.
func (c *Conn) SaysGoodbye() { c.closing.Store(uint32(closedPolitely)) }

// readOrFollow reads for a connection that may speak HTTP/2, or does.
func (c *Conn) readOrFollow(b []byte) (int, error) {
	if f := c.frames.Load(); f != nil {
		return f.Read(b)
	}
	n, err := c.readBytes(b)
	if n > 0 {
		c.look(b[:n])
	}
	return n, err
}

// look compares the first bytes with the preface. net/http asks for no more than that at first. From one that
// would, the connection gets GOAWAY with an answer: its frames are in the middle of b then.
func (c *Conn) look(b []byte) {
	end := c.preface + len(b)
	if end > len(h2.Preface) || string(b) != h2.Preface[c.preface:end] {
		c.preface = -1
		return
	}
	if c.preface = end; end < len(h2.Preface) {
		return
	}
	if h2.Doors().Clear != nil {
		c.preface = -1
		return
	}
	c.h2c.Follow(c, h2.New(c.Conn, 0, 0, c.SaysGoodbye))
}

// inClear returns the frames that the connection itself carries, or nil. Those of
// a connection under TLS are followed above that.
func (c *Conn) inClear() *h2.Conn {
	if c.h2c == nil {
		return nil
	}
	return c.frames.Load()
}

// Write writes, between the frames of HTTP/2 if it is that.
func (c *Conn) Write(b []byte) (int, error) {
	if f := c.inClear(); f != nil {
		return f.Write(b)
	}
	return c.Conn.Write(b)
}

// SetWriteDeadline is net/http's.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	if f := c.inClear(); f != nil {
		return f.SetWriteDeadline(t)
	}
	return c.setWriteDeadline(t)
}

// SetDeadline is net/http's.
func (c *Conn) SetDeadline(t time.Time) error {
	if f := c.inClear(); f != nil {
		return f.SetDeadline(t)
	}
	return c.passDeadline(t)
}
