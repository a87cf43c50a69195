package core

import (
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"sync"
)

// openHTTP2 makes HTTP/2 of the inner server's connections ours, so that they can be told
// to leave. It changes nothing where net/http's own would not be used: it is
// switched off (TLSNextProto: {}, Protocols, GODEBUG=http2server=0), or the program has
// brought another one.
//
// There are two ways to set the inner server up, and a server has one for all its
// connections: that TLSNextProto leads to us, for TLS, and that net/http's own HTTP/2 is on,
// for HTTP/2 in the clear, which has no such door. A listener of the program's own may
// have connections of both kinds; what the inner server can't serve the other one does.
func (s *server) openHTTP2(useTLS bool) {
	given := settingsOfConfigureServer(s.user)
	fn := s.user.TLSNextProto["h2"]
	s.configured = given.called || fn != nil && !isNetHTTP(fn)
	if fn == nil || !isNetHTTP(fn) {
		return
	}
	if given.lost {
		s.u.log.Warn("settings given to http2.ConfigureServer do not reach HTTP/2 connections: set them in the http.Server's HTTP2 field")
	}
	s.http2 = newHTTP2Server(s, given)
	if useTLS {
		s.lead(s.inner)
		return
	}
	s.follows = s.h2c
	s.other = &otherServer{s: s, srv: s.copyOfUser(), conns: make(chan net.Conn)}
	if s.h2c {
		s.speak(s.inner, given)
		s.lead(s.other.srv)
	} else {
		s.lead(s.inner)
		s.speak(s.other.srv, given)
	}
}

// lead sets a server up such that its HTTP/2 connections over TLS are ours.
func (s *server) lead(srv *http.Server) {
	srv.TLSNextProto = s.otherProtos()
	srv.TLSNextProto["h2"] = s.http2.take
}

// speak sets a server up such that net/http's own HTTP/2 is on.
func (s *server) speak(srv *http.Server, given givenHTTP2) {
	// Two ways to say so, because some of its own rules ask for one and some for the other.
	if srv.TLSNextProto = s.otherProtos(); len(srv.TLSNextProto) == 0 {
		srv.TLSNextProto = nil
	}
	if srv.Protocols == nil {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
	}
	// It is not needed without ServeTLS, net/http would change what somebody else may use, and
	// one that does not name "h2" is another way to say that there is to be none.
	srv.TLSConfig = nil
	given.applyShared(srv)
}

// otherProtos is what else the program speaks over TLS.
func (s *server) otherProtos() map[string]func(*http.Server, *tls.Conn, http.Handler) {
	m := maps.Clone(s.user.TLSNextProto)
	maps.DeleteFunc(m, func(_ string, fn func(*http.Server, *tls.Conn, http.Handler)) bool { return isNetHTTP(fn) })
	return m
}

// otherServer is one more http.Server for a server's connections. It is set up the other
// way.
type otherServer struct {
	s     *server
	srv   *http.Server
	conns chan net.Conn
	begin sync.Once
}

// connectionStater is a connection that has TLS in it.
type connectionStater interface{ ConnectionState() tls.ConnectionState }

// passOn gives the other server a connection that the inner one can't serve: where that
// speaks HTTP/2 in the clear, a *tls.Conn, and else one with TLS that is no *tls.Conn, with
// which net/http speaks HTTP/2 since Go 1.27, but not by TLSNextProto. It reports
// whether it has.
func (s *server) passOn(nc net.Conn) bool {
	if s.other == nil {
		return false
	}
	_, std := nc.(*tls.Conn)
	if _, ok := nc.(connectionStater); !ok || std != s.follows {
		return false
	}
	s.other.begin.Do(func() { go func() { _ = s.other.srv.Serve(s.other) }() })
	select {
	case s.other.conns <- nc:
	case <-s.u.phase.finished:
		_ = nc.Close()
	}
	return true
}

// Accept is the other server's.
func (o *otherServer) Accept() (net.Conn, error) {
	o.s.turns.other.end()
	select {
	case nc := <-o.conns:
		o.s.turns.other.begin(&o.s.callbacks)
		return nc, nil
	case <-o.s.u.phase.finished:
		return nil, net.ErrClosed
	}
}

// Close does nothing: there is nothing of its own.
func (o *otherServer) Close() error { return nil }

// Addr returns the listener's address.
func (o *otherServer) Addr() net.Addr { return o.s.ln.Addr() }
