package conns

import (
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// secured is a connection over TLS: a *tls13.First in the process that has shaken hands, a *tls13.Conn in each one after
// it.
type secured interface {
	net.Conn
	NetConn() net.Conn
	ConnectionState() tls.ConnectionState
	Seal() (*tls13.Sealed, error)
	Holds() bool // something that the client has sent is here already, and not read
	Whole() bool // no part of a record is
}

// Secure puts a connection over TLS in the place of the one below, whose handshake is over, and which nobody else has.
// Side is to serve it. It returns nil if that one was closed.
func (t *Table) Secure(below *Conn, over *tls13.First, side *Side) *Conn {
	var stays tls13.StaysError
	errors.As(over.Stays(), &stays)
	t.mu.Lock()
	defer t.mu.Unlock()
	if below.closed.Load() {
		return nil
	}
	over.Over(below.Conn) // whose looks at boundaries are for connections in the clear
	c := &Conn{Conn: over, table: t, from: below.from, number: below.number, served: below.served}
	c.secure(over)
	c.idle.Store(t.now())
	if c.stayTLS = stays; stays.Reason == "" {
		c.side.Store(side)
	}
	c.state.Store(below.state.Load())
	below.closed.Store(true) // as Leave
	delete(t.conns, below)
	t.conns[c] = struct{}{}
	return c
}

// ServeBy gives it to its server. With HTTP/2 the client's preface is to come within the limit.
func (c *Conn) ServeBy(s *Side, limit time.Duration) {
	if s.H2C {
		c.h2c = s
		s.Follow(c, h2.New(c.Conn, len(h2.Preface), limit, c.SaysGoodbye))
	}
	c.giveTo(s)
}

// secure says that the transport is TLS. It is called before anybody else sees c.
func (c *Conn) secure(over secured) {
	st := over.ConnectionState()
	c.over, c.tlsState = over, &st
}

// TLS returns what the handshake has brought about, for all requests; nil for a connection in the clear, and where net/http
// has shaken hands. Nobody changes it.
func (c *Conn) TLS() *tls.ConnectionState { return c.tlsState }

// StaysSecure returns why its TLS does not move, as far as that is known; nil if it can.
func (c *Conn) StaysSecure() error {
	if f, ok := c.over.(*tls13.First); ok {
		return f.Stays()
	}
	return nil
}

// seal returns the state of its TLS, after which nothing is read or written on it; nil if it has none.
func (c *Conn) seal() (*tls13.Sealed, error) {
	if c.over == nil {
		return nil, nil
	}
	sealed, err := c.over.Seal()
	var stays tls13.StaysError
	if errors.As(err, &stays) {
		c.table.noteStayedTLS(stays)
	}
	return sealed, err
}

// LeaveHijacked is Leave for a connection that the program has taken over. The rest of a record of which a part has come
// is waited for, and goes along.
func (m *Mover) LeaveHijacked(c *Conn, what wire.Conn) error {
	if c.over != nil && !m.takes(true) {
		return errNoTLS
	}
	err := m.Leave(c, what)
	if f, ok := c.over.(*tls13.First); ok && errors.Is(err, tls13.ErrBusy) && f.Complete(timing.Word) == nil {
		err = m.Leave(c, what)
	}
	return err
}

// errNoTLS is for a version that has no WithTLSHandoff, or does not know it.
var errNoTLS = errors.New("the new process does not take TLS connections over")

// noteStayingTLS counts the connections that can't move.
func (t *Table) noteStayingTLS() {
	for _, c := range t.All() {
		if c.stayTLS.Reason != "" && !c.Is(Hijacked) {
			t.noteStayedTLS(c.stayTLS)
		}
	}
}

// noteStayedTLS counts it with those of the same reason.
func (t *Table) noteStayedTLS(why tls13.StaysError) {
	t.mu.Lock()
	switch why.Reason {
	case tls13.StaysVersion:
		t.counts.StayedTLS.Version++
	case tls13.StaysSuite:
		t.counts.StayedTLS.Suite++
	case tls13.StaysKey:
		t.counts.StayedTLS.Key++
	default:
		t.counts.StayedTLS.Other++
	}
	t.mu.Unlock()
	t.log.Debug("a TLS connection does not move", "why", why.Error())
}

// SecureConn is a connection over TLS as the program sees it. As a tls.Conn it has no SyscallConn: package os copies between a
// file and whatever has that by sendfile and splice, and past the TLS.
type SecureConn struct {
	net.Conn // c, without its other methods
	c        *Conn
}

// forProgram returns it as the program sees it: always the same value.
func (c *Conn) forProgram() SecureConn { return SecureConn{c, c} }

// ConnectionState is tls.Conn's.
func (c SecureConn) ConnectionState() tls.ConnectionState { return *c.c.tlsState }

// CloseWrite is tls.Conn's.
func (c SecureConn) CloseWrite() error { return c.c.CloseWrite() }

// NetConn returns the connection below TLS, as tls.Conn's does.
func (c SecureConn) NetConn() net.Conn { return c.c.NetConn() }
