package core

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/tls13"
)

// A server of HTTP/2 that is not net/http's shakes hands itself, by credentials of the program's. Those of grpcx.NewTLS do
// it through HTTP2Handshake. Whether a server has them has to be known before it is ready, because the old process asks then
// what moves here. The server does not tell, so it gets a connection of this process to itself first: see question.

// HTTP2TLSConfig returns a copy of conf for the handshakes of HTTP2Handshake. Module grpcx calls it. The name is that of
// TicketKeys, and session tickets are as there, but that a config which asks for client certificates is left alone,
// too. If conf is nil, the copy is of an empty config. Any goroutine may call it at any time, also before there is an
// Upgrader. A server whose handshakes are others can have the copy, too.
func HTTP2TLSConfig(name string, conf *tls.Config) *tls.Config {
	return tls13.Config(shareTickets(name, conf, keepsTickets))
}

// HTTP2Handshake is a TLS handshake of a server whose listener is HTTP2Listener's. Module grpcx calls it. nc is what
// Accept has returned. With WithTLSHandoff the connections of such a server move, if they can:
//
//   - For a client that has connected to this process it calls shake with a connection. shake speaks TLS on that as the
//     server, by a config of HTTP2TLSConfig, and returns the *tls.Conn when the handshake is over. The server serves what
//     HTTP2Handshake returns in its place. The state is nil: shake knows it. The deadlines that were set on nc are to be
//     set on that again.
//   - A connection that has moved here comes back as it is, with the state of its handshake, and shake is not called.
//   - Connections of this process to itself are not encrypted. The server serves one that comes back, with an empty
//     state. With io.EOF it closes the connection, and says nothing of it.
//
// For any other connection it is shake(nc). Whatever a client sends, its connection is either of the first kind or of that.
//
// An error of shake is returned as it is. The error is net.ErrClosed if the connection was closed meanwhile. A panic of
// shake is not recovered. The limit of time for a handshake is the server's, by a deadline on nc.
func HTTP2Handshake(nc net.Conn, shake func(net.Conn) (net.Conn, error)) (conn net.Conn, st *tls.ConnectionState, err error) {
	switch c := nc.(type) {
	case *question:
		c.answer(true)
		return nil, nil, io.EOF
	case *ownConn:
		return c, new(tls.ConnectionState), nil
	case *unshaken:
		conn, err = c.shakeHands(shake)
		return conn, nil, err
	case *conns.Conn:
		if st := c.TLS(); st != nil {
			return c, st, nil
		}
	}
	conn, err = shake(nc)
	return conn, nil, err
}

// unshaken is a connection from outside, of a server that shakes hands by HTTP2Handshake.
type unshaken struct {
	*conns.Conn
	of *movingListener
}

// shakeHands shakes hands, and has the connection move when it can.
func (c *unshaken) shakeHands(shake func(net.Conn) (net.Conn, error)) (net.Conn, error) {
	first, other, err := tls13.ServerBy(c.Conn, shake)
	if first == nil {
		return other, err
	}
	over := c.of.u.conns.Secure(c.Conn, first, c.of.side)
	if over == nil {
		_ = first.Close()
		return nil, net.ErrClosed
	}
	if over.CanMove() {
		over.ServeHTTP2(c.of.side)
	}
	return over, nil
}

// ownConn is a connection of this process to itself.
type ownConn struct{ net.Conn }

// question is a connection on which nothing ever comes. HTTP2Handshake knows it. Whoever reads from it, writes to it or
// closes it does not shake hands by that.
type question struct {
	addr   net.Addr
	answer func(secure bool) // the first one counts
}

// Read says that the client has gone.
func (q *question) Read([]byte) (int, error) {
	q.answer(false)
	return 0, io.EOF
}

// Write writes to nobody.
func (q *question) Write(b []byte) (int, error) {
	q.answer(false)
	return len(b), nil
}

// Close closes it.
func (q *question) Close() error {
	q.answer(false)
	return nil
}

// LocalAddr returns the listener's address.
func (q *question) LocalAddr() net.Addr { return q.addr }

// RemoteAddr returns the same.
func (q *question) RemoteAddr() net.Addr { return q.addr }

// SetDeadline does nothing, because nothing waits. So do the next two.
func (q *question) SetDeadline(time.Time) error      { return nil }
func (q *question) SetReadDeadline(time.Time) error  { return nil }
func (q *question) SetWriteDeadline(time.Time) error { return nil }

// secrecy is whether the TLS connections of a server move. The zero secrecy is not used.
type secrecy struct {
	known  chan struct{} // closed when it is known
	once   sync.Once
	secure bool // guarded by known
}

// settleSecrecy notes whether the server shakes hands by HTTP2Handshake, or why that is not known. The first call counts.
func (l *movingListener) settleSecrecy(secure bool, unknown error) {
	l.secrecy.once.Do(func() {
		why := unknown
		if secure {
			why = tls13.Moves()
			l.secrecy.secure = why == nil
		}
		if why != nil {
			l.u.log.Warn("TLS connections do not move: their clients are asked to reconnect",
				"address", l.Addr().String(), "error", why)
		}
		close(l.secrecy.known)
	})
}

// ask finds out whether the server shakes hands by HTTP2Handshake.
func (l *movingListener) ask() {
	if !l.u.cfg.tlsHandoff {
		l.settleSecrecy(false, nil)
		return
	}
	l.serveOwn(&question{l.Addr(), func(secure bool) { l.settleSecrecy(secure, nil) }})
	l.awaitSecrecy()
}

// awaitSecrecy waits until the server has answered, and no longer than that: its clients wait, too.
func (l *movingListener) awaitSecrecy() {
	late := time.NewTimer(timing.Word)
	defer late.Stop()
	select {
	case <-l.secrecy.known:
	case <-l.over:
	case <-late.C:
		l.settleSecrecy(false, fmt.Errorf("the server has not begun to serve in %v, or its credentials wait for something",
			timing.Word))
	}
}

// isSecure reports whether the TLS connections of the server move, and no others. A server that serves knows at once.
func (l *movingListener) isSecure() bool {
	if !l.u.cfg.tlsHandoff {
		return false
	}
	if !isClosed(l.secrecy.known) {
		l.awaitSecrecy()
	}
	return isClosed(l.secrecy.known) && l.secrecy.secure
}
