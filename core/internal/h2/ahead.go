package h2

import (
	"crypto/tls"
	"net"
)

// net/http asks for a frame's header, and then for its payload. It gets both out of a buffer, which has what there was: one
// system call for a small request, or for several, in place of two for each. If the connection is to move nothing is read
// ahead, and it does not move before the server has asked for all that was. Over TLS a record is in memory anyway.

// aheadSize is the size of the buffer in bytes: some requests without a body. What is larger goes past it.
const aheadSize = 1 << 10

// readAhead is what the client has said, and the server has not asked for. All of it is the reading goroutine's.
type readAhead struct {
	off  bool // nothing is read ahead
	buf  [aheadSize]byte
	left []byte // of buf
}

// isOverTLS reports whether a connection is a *tls.Conn or its like.
func isOverTLS(nc net.Conn) bool {
	_, ok := nc.(interface{ ConnectionState() tls.ConnectionState })
	return ok
}

// free reports whether the connection is not to move. What is read from it need not be little then.
func (c *Conn) free() bool { return c.moving.Load() == nil }

// in reads what the client has said: first what was withheld, then what was read ahead.
func (c *Conn) in(b []byte) (int, error) {
	if w := &c.withheld; w.replays() {
		n := copy(b, w.b)
		if w.b = w.b[n:]; len(w.b) == 0 {
			w.b = nil
		}
		return n, nil
	}
	a := &c.read
	if len(a.left) == 0 {
		if a.off || len(b) >= aheadSize || !c.free() {
			return c.Conn.Read(b)
		}
		n, err := c.Conn.Read(a.buf[:])
		if n == 0 {
			return 0, err
		}
		a.left = a.buf[:n] // an error comes again
	}
	n := copy(b, a.left)
	a.left = a.left[n:]
	return n, nil
}

// incoming is what the client says.
type incoming struct{ *Conn }

func (i incoming) Read(b []byte) (int, error) { return i.in(b) }
