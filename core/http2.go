package core

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
)

// prefaceTime is net/http's limit for the preface of a client that has negotiated HTTP/2.
const prefaceTime = 10 * time.Second

// http2Server serves the HTTP/2 connections over TLS of one server. The inner server, which
// accepts them and shakes hands, has no HTTP/2: its TLSNextProto leads here, as documented
// for programs that speak a protocol themselves. A third http.Server, with the same settings,
// accepts them from here, and between is an h2.Conn, by which they can be made to leave.
type http2Server struct {
	s     *server
	srv   *http.Server
	conns chan net.Conn
	begin sync.Once
	door  h2.Door

	bare sync.Map // *tls.Conn to *takenConn, of those that are given to srv as they are
}

// newHTTP2Server does not start it: most servers in the clear never see such a connection.
func newHTTP2Server(s *server, given givenHTTP2) *http2Server {
	l := &http2Server{s: s, srv: s.copyOfUser(), conns: make(chan net.Conn)}
	given.apply(l.srv)
	l.srv.TLSNextProto, l.srv.TLSConfig = nil, nil // its HTTP/2 is net/http's own
	l.srv.DisableGeneralOptionsHandler = true      // the inner server's handler does that
	l.srv.Protocols = new(http.Protocols)
	l.srv.Protocols.SetHTTP2(true)
	l.srv.Protocols.SetUnencryptedHTTP2(true) // for h2.DoorClear
	l.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Context().Value(takenKey{}).(*takenConn).handler.ServeHTTP(w, r)
	})
	l.srv.ConnContext = func(_ context.Context, nc net.Conn) context.Context {
		c := l.taken(nc)
		return context.WithValue(c.own.RequestContext(), takenKey{}, c)
	}
	l.srv.ConnState = l.onConnState
	return l
}

// greeting is what HTTP/2 connections in the clear are told first; an error if none can move here.
func (s *server) greeting() (*h2.Greeting, error) {
	if err := h2.Moves(); err != nil {
		return nil, err
	}
	return h2.Greet(s.inner)
}

// takenKey is the context key of the *takenConn of a request.
type takenKey struct{}

// takenConn is an HTTP/2 connection over TLS that the inner server has given away.
type takenConn struct {
	*h2.Conn // nil if it is not followed
	tls      *tls.Conn
	own      *conns.Conn
	handler  http.Handler // the inner server's; it fills in Request.TLS
	ended    chan struct{}
}

// NetConn is for conns.Tracked.
func (c *takenConn) NetConn() net.Conn { return c.tls }

// statedConn is a takenConn for h2.DoorState.
type statedConn struct{ *takenConn }

// ConnectionState is the TLS connection's.
func (c statedConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// taken finds the connection in what the third server holds.
func (l *http2Server) taken(nc net.Conn) *takenConn {
	switch c := nc.(type) {
	case *takenConn:
		return c
	case statedConn:
		return c.takenConn
	}
	v, _ := l.bare.Load(nc)
	c, _ := v.(*takenConn)
	return c
}

// take is the inner server's TLSNextProto["h2"]. net/http closes the connection when it
// returns.
func (l *http2Server) take(_ *http.Server, tc *tls.Conn, h http.Handler) {
	l.begin.Do(l.start)
	c := &takenConn{tls: tc, own: l.s.find(tc), handler: h, ended: make(chan struct{})}
	nc := l.prepare(c)
	if nc == nil {
		return
	}
	select {
	case l.conns <- nc:
		<-c.ended
	case <-l.s.u.phase.finished:
	}
	l.bare.Delete(tc)
}

// start chooses the door, and starts the third server.
func (l *http2Server) start() {
	switch d := h2.Doors(); {
	case d.State == nil:
		l.door = h2.DoorState
	case d.Clear == nil:
		l.door = h2.DoorClear
	default:
		l.s.u.log.Warn("this Go release's net/http can't be told to leave an HTTP/2 connection in two steps: GOAWAY goes out with answers only",
			"error", d.Clear)
	}
	go func() { _ = l.srv.Serve(l) }()
}

// prepare returns what the third server is to accept, or nil if that must not be.
func (l *http2Server) prepare(c *takenConn) net.Conn {
	follow := func(limit time.Duration) {
		c.Conn = h2.New(c.tls, len(h2.Preface), limit, c.own.SaysGoodbye)
		l.s.follow(c.own, c.Conn)
	}
	switch l.door {
	case h2.DoorState:
		follow(0)
		return statedConn{c}
	case h2.DoorClear:
		permitted := l.srv.HTTP2 != nil && l.srv.HTTP2.PermitProhibitedCipherSuites
		if st := c.tls.ConnectionState(); !permitted && !h2.Fit(st) {
			_, _ = c.tls.Write(h2.Inadequate())
			return nil
		}
		follow(prefaceTime)
		return c
	}
	l.bare.Store(c.tls, c)
	return c.tls
}

// onConnState passes on what the inner server does not say itself.
func (l *http2Server) onConnState(nc net.Conn, st http.ConnState) {
	switch c := l.taken(nc); st {
	case http.StateNew:
	case http.StateClosed:
		close(c.ended)
	default:
		l.s.onConnState(c.tls, st)
	}
}

// find returns the connection of ours that is under tc, or stands for it.
func (s *server) find(tc *tls.Conn) *conns.Conn {
	if c := conns.Tracked(tc); c != nil {
		return c
	}
	return s.foreign.find(tc, http.StateActive)
}

// Accept is the third server's.
func (l *http2Server) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.s.u.phase.finished:
		return nil, net.ErrClosed
	}
}

// Close does nothing: there is nothing of its own.
func (l *http2Server) Close() error { return nil }

// Addr returns the listener's address.
func (l *http2Server) Addr() net.Addr { return l.s.ln.Addr() }
