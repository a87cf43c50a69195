package conns

import "github.com/gracex-go/gracex/core/internal/wire"

// Moved counts connections that have moved, by what they carry: in the clear, and over TLS.
type Moved struct {
	HTTP1, HTTP2, WebSocket, Other MovedBoth // Other is the program's own
	StateBytes                     uint64    // of state that went with them
}

// MovedBoth counts connections in the clear and over TLS.
type MovedBoth struct{ Clear, TLS uint64 }

func (m MovedBoth) total() uint64 { return m.Clear + m.TLS }

// Total is how many there were.
func (m Moved) Total() uint64 {
	return m.HTTP1.total() + m.HTTP2.total() + m.WebSocket.total() + m.Other.total()
}

// OverHTTP2 is how many carried HTTP/2.
func (m Moved) OverHTTP2() uint64 { return m.HTTP2.total() }

// OverTLS is how many were over TLS.
func (m Moved) OverTLS() uint64 { return m.HTTP1.TLS + m.HTTP2.TLS + m.WebSocket.TLS + m.Other.TLS }

// note counts one more.
func (m *Moved) note(c wire.Conn) {
	kind := &m.HTTP1
	switch {
	case c.IsHTTP2():
		kind = &m.HTTP2
	case c.IsWebSocket():
		kind = &m.WebSocket
	case c.Name != "":
		kind = &m.Other
	}
	if c.TLS > 0 {
		kind.TLS++
	} else {
		kind.Clear++
	}
	m.StateBytes += uint64(len(c.State) + c.TLS)
}
