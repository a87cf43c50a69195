package tls13

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
)

// ServerBy is Server for a caller that shakes hands itself: shake speaks as crypto/tls's server on the connection that it
// gets, by a config of Config, and returns the tls.Conn when the handshake is over. Nothing is read or written on that
// before ServerBy returns. If shake returns another type, first is nil, and that comes back in its place. It does not move.
// A panic of shake is not recovered.
func ServerBy(nc net.Conn, shake func(net.Conn) (net.Conn, error)) (first *First, other net.Conn, err error) {
	l := &lower{Conn: nc, told: new(told)}
	defer func() { // after a panic, too: somebody else may recover that, and keep the connection
		if first == nil {
			l.forget()
		}
	}()
	conn, err := shake(shaking{l, l})
	if err != nil {
		return nil, nil, err
	}
	tc, ok := conn.(*tls.Conn)
	if !ok || tc.NetConn() != net.Conn(shaking{l, l}) {
		return nil, conn, nil
	}
	first = &First{conn: tc, low: l}
	first.noteShaken()
	return first, nil, nil
}

// shaking is a lower without its SyscallConn. grpc-go wraps the tls.Conn over a connection that has one.
type shaking struct {
	net.Conn
	low *lower
}

// NetConn returns the connection below, as lower's.
func (s shaking) NetConn() net.Conn { return s.low.Conn }

// Format keeps the secrets out of any text.
func (s shaking) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[TLS connection]") }

// lowerOf returns the lower that crypto/tls speaks on; nil if it is none.
func lowerOf(nc net.Conn) *lower {
	switch c := nc.(type) {
	case *lower:
		return c
	case shaking:
		return c.low
	}
	return nil
}
