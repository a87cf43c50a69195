package core

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
)

// server serves one http.Server of the program on one listener.
//
// The program's own http.Server never sees a connection: net/http's Shutdown
// drops requests that it has read and cuts idle connections, and it must be
// called, because it is what runs the program's RegisterOnShutdown hooks. So there are two:
// user, the program's, which accepts from a gate that never yields a connection, and inner,
// a copy of its settings, which serves and is never shut down. Shutdown of user then runs the
// hooks and harms nobody; called by the program it means a graceful stop,
// and it returns when the drain has ended, because net/http waits for the
// gate's Accept. HTTP/2 has servers of its own: see http2Server and otherServer.
type server struct {
	u     *Upgrader
	user  *http.Server
	inner *http.Server
	gate  *gate
	ln    net.Listener

	own  *listener // ln, or the one that it wraps; nil if it is none of ours
	name string    // see Named

	base      context.Context
	handler   http.Handler
	connState func(net.Conn, http.ConnState)
	connCtx   func(context.Context, net.Conn) context.Context

	ownsSockets bool // the program has none of its connections' sockets, unless a handler hijacks one

	moves   bool         // its connections can move: nothing is between them and net/http
	h2c     bool         // they may speak HTTP/2
	follows bool         // their frames are followed then
	http2   *http2Server // for HTTP/2 over TLS; nil if there is none, or the program's own
	other   *otherServer // for those connections that inner can't serve, or nil
	side    *conns.Side  // for those that can move

	// Of a server whose TLS connections can move: see openSecure.
	secure    bool
	tlsConfig *tls.Config
	sideHTTP2 *conns.Side // nil if it does not speak HTTP/2

	configured bool      // the program has called http2.ConfigureServer
	warnHTTP2  sync.Once // see hijacksHTTP2

	callbacks sync.Mutex                          // for one turn at a time
	turns     struct{ accept, adopt, other turn } // of the accept loops

	keepAlives keepAlives // as the program sets them

	foreign foreignConns
	ended   chan struct{} // closed when the accept loop has ended
}

// connKey is the context key of the connection that a request came on.
type connKey struct{}

// movedKey is the context key of an HTTP/2 connection that has moved here.
type movedKey struct{}

// attach starts serving on ln. The accept loop waits for Ready.
func (u *Upgrader) attach(given givenServer, ln net.Listener) error {
	srv, useTLS, certFile, keyFile := given.srv, given.useTLS, given.certFile, given.keyFile
	if useTLS && certFile == "" && keyFile == "" && !hasCertificates(srv.TLSConfig) {
		return errors.New("no certificate: name the files, or set Certificates, GetCertificate or GetConfigForClient in the server's TLSConfig")
	}
	known := ln // to the program
	ln, err := u.adopt(ln)
	if err != nil {
		return err
	}
	own, direct := ln.(*listener)
	if !direct {
		own = u.passing.find(ln.Addr())
	}
	if own != nil {
		own.served.Store(true)
	}
	if given.opened {
		known = own.Listener // as net/http's own ListenAndServe shows it
	}
	s := &server{
		u: u, user: srv, ln: ln, own: own, name: cmp.Or(given.name, u.cfg.serverName), ended: make(chan struct{}),
		moves: direct && !useTLS && u.cfg.handoff && conns.SelfTest() == nil,
	}
	s.gate = newGate(ln.Addr(), u.phase.goesOn, func() { u.requestStop(stopRequest{}) })
	srv.RegisterOnShutdown(s.gate.shutdown)
	if err := s.openFront(known, useTLS, certFile, keyFile); err != nil {
		return err
	}
	s.inner = s.newInner()
	if useTLS {
		s.inner.TLSConfig = u.withTickets(s.inner.TLSConfig, ln.Addr())
	}
	s.h2c = srv.Protocols != nil && srv.Protocols.UnencryptedHTTP2()
	s.side = s.newSide()
	if useTLS && direct && u.cfg.handoff && u.cfg.tlsHandoff {
		if s.secure, err = s.openSecure(certFile, keyFile); err != nil {
			return err
		}
	}
	if s.moves = s.moves || s.secure; !s.secure {
		s.openHTTP2(useTLS)
		if s.follows {
			s.side.Greeting = sync.OnceValues(s.greeting)
		}
	}
	if err := s.keepAlives.follow(srv, s.all()...); err != nil {
		u.log.Warn("SetKeepAlivesEnabled has no effect with this Go release; set the header Connection: close in the handler", "error", err)
	}
	serve := func() error { return s.inner.Serve((*acceptor)(s)) }
	switch {
	case s.secure:
		serve = s.serveSecure
	case useTLS:
		serve = func() error { return s.inner.ServeTLS((*acceptor)(s), certFile, keyFile) }
	}
	if !u.servers.add(s, u.phase) {
		return ErrStopped
	}
	if p := u.inherited.old; s.moves && !s.secure && p != nil && p.Speaks() {
		go func() { _ = s.inner.Serve(&adoption{s, s.side, &s.turns.adopt}) }()
	}
	go func() {
		err := serve()
		close(s.ended)
		u.conns.Nudge()
		switch {
		case u.phase.draining.Load():
		case !errors.Is(err, net.ErrClosed):
			u.requestStop(stopRequest{err: fmt.Errorf("gracex: serving %s: %w", ln.Addr(), err), now: true})
		case !u.servers.accept():
			u.requestStop(stopRequest{now: true}) // the program closed its last listener
		}
	}()
	return nil
}

// adopt takes a listener of the program's in: one of ours as it is, one that
// wraps one of ours with its connections counted once, and any other so that the
// next generation gets it if it has a descriptor.
func (u *Upgrader) adopt(ln net.Listener) (net.Listener, error) {
	if _, ok := ln.(*listener); ok {
		return ln, nil
	}
	if own := u.passing.find(ln.Addr()); own != nil {
		own.origin.Wrapped.Store(true)
		return ln, nil
	}
	if _, ok := ln.(syscall.Conn); !ok {
		u.log.Warn("the listener shows no descriptor: unless it wraps one from Listen, the next generation will not have it",
			"address", ln.Addr().String(), "type", fmt.Sprintf("%T", ln))
		return ln, nil
	}
	l, err := newListener(ln, -1, ln.Addr().Network(), ln.Addr().String())
	if err != nil {
		return nil, err
	}
	if !l.bind(u) {
		_ = l.close(false)
		return nil, ErrStopped
	}
	return l, nil
}

// openFront starts the program's server on the gate and returns once it waits
// there: net/http has then checked the certificates and set up HTTP/2. BaseContext gets the
// listener that the program knows.
func (s *server) openFront(known net.Listener, useTLS bool, certFile, keyFile string) error {
	base := s.user.BaseContext
	s.base = context.Background()
	if base != nil {
		if s.base = base(known); s.base == nil {
			return errors.New("BaseContext returned a nil context")
		}
	}
	// Called once for both servers.
	s.user.BaseContext = s.baseContext
	result := make(chan error, 1)
	go func() {
		if useTLS {
			result <- s.user.ServeTLS(s.gate, certFile, keyFile)
		} else {
			result <- s.user.Serve(s.gate)
		}
	}()
	defer func() { s.user.BaseContext = base }()
	select {
	case err := <-result:
		return err
	case <-s.gate.entered:
		return nil
	}
}

// newInner copies the settings of the program's server.
func (s *server) newInner() *http.Server {
	u := s.user
	s.handler, s.connState, s.connCtx = u.Handler, u.ConnState, u.ConnContext
	if s.handler == nil {
		s.handler = http.DefaultServeMux //nolint:forbidigo // what net/http serves for a nil Handler; nothing is registered on it
	}
	l, ok := s.ln.(*listener)
	s.ownsSockets = ok && l.isPlain() && s.connState == nil && s.connCtx == nil
	return s.copyOfUser()
}

// newSide is for connections that come from the server's listener, or did in the old process.
func (s *server) newSide() *conns.Side {
	own := &conns.Side{HTTP: s.inner, H2C: s.h2c, Adopted: make(chan *conns.Conn), Over: s.u.phase.finished, Follow: s.follow, Leave: s.u.askToLeave, Moves: h2.Moves}
	if l, ok := s.ln.(*listener); ok {
		own.From = &l.origin
	}
	return own
}

// origin is the listener's; nil if that is none of ours.
func (s *server) origin() *conns.Origin {
	if s.own == nil {
		return nil
	}
	return &s.own.origin
}

func (s *server) baseContext(net.Listener) context.Context { return s.base }

// ServeHTTP is the handler wrapper: it counts, and while draining it asks the
// client to come back on a new connection.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		if c, _ := r.Context().Value(movedKey{}).(*conns.Conn); c != nil && c.AnswersHTTP2(w, r) {
			return
		}
	}
	s.keepAlives.apply()
	defer s.keepAlives.apply()
	c := s.connOf(r)
	if s.secure && r.TLS == nil && c != nil {
		r.TLS = c.TLS()
	}
	leaves := s.u.phase.asksToLeave.Load() && mayClose(r) && (c == nil || !c.Movable(r)) && !leavesByItself(c, r)
	if leaves {
		w.Header().Set("Connection", "close") // in HTTP/2, net/http makes GOAWAY of it
	}
	if s.lends(r) {
		t := s.lend(w, r)
		defer t.end()
		w = t
	}
	w, q := s.begin(w, r)
	if q != nil {
		defer q.end()
	}
	if c == nil { // the program's ConnContext threw ours away
		defer s.u.conns.CountServed(s.origin())
		s.handler.ServeHTTP(w, r)
		q.done()
		return
	}
	if leaves {
		c.SaysGoodbye()
	}
	followed := c.Begins(r)
	defer c.Answered(followed)
	s.handler.ServeHTTP(w, r)
	q.done()
}

// connOf returns the connection that r came on; nil if the program's ConnContext threw ours away. In a server whose TLS
// connections can move, r has it in any case.
func (s *server) connOf(r *http.Request) (c *conns.Conn) {
	if s.secure {
		c, _ = r.Context().Value(secureKey{}).(*conns.Conn)
	}
	if c == nil {
		c, _ = r.Context().Value(connKey{}).(*conns.Conn)
	}
	return c
}

// mayClose reports whether the answer to r may say Connection: close. The answer
// to a WebSocket handshake has a Connection header of its own. "Upgrade: h2c" is
// never answered by an upgrade: some clients send it with each request.
func mayClose(r *http.Request) bool {
	up := r.Header.Get("Upgrade")
	return up == "" || strings.EqualFold(up, "h2c")
}

func (s *server) onConnContext(ctx context.Context, nc net.Conn) context.Context {
	c := conns.Tracked(nc)
	if c == nil {
		c = s.foreign.track(s.u.conns, nc, s.origin())
	}
	tc, overTLS := nc.(*tls.Conn)
	if overTLS {
		c.IsUnder(tc)
	}
	s.u.conns.Serve(c)
	if s.ownsSockets {
		c.SpareDeadlines()
	}
	ctx = context.WithValue(ctx, http.ServerContextKey, s.user)
	ctx = context.WithValue(ctx, connKey{}, c)
	if s.connCtx != nil {
		if ctx = s.connCtx(ctx, exposed(nc)); ctx != nil && ctx.Value(connKey{}) != c {
			c.BelongsTo(nil) // its requests can't be followed
		}
	}
	switch {
	case overTLS:
		c.KeepRequestContext(ctx)
	case s.secure && ctx != nil: // also of a ConnContext that threw ours away
		if ctx = context.WithValue(ctx, secureKey{}, c); c.HTTP2Frames() != nil {
			ctx = context.WithValue(ctx, movedKey{}, c)
		}
	case s.follows && nc == net.Conn(c):
		c.MayFollow(s.side)
		if c.HTTP2Frames() != nil && ctx != nil {
			ctx = context.WithValue(ctx, movedKey{}, c) // also of a ConnContext that threw ours away
		}
	}
	return ctx
}

func (s *server) onConnState(nc net.Conn, st http.ConnState) {
	c := conns.Tracked(nc)
	if c == nil {
		c = s.foreign.find(nc, st)
	}
	if c != nil && (st == http.StateActive || st == http.StateIdle) && c.HidesHTTP2() {
		return
	}
	if own, ok := conns.FromHTTP(st); ok && c != nil && own != conns.New {
		if tc, ok := nc.(*tls.Conn); ok && c.Is(conns.New) && tc.ConnectionState().NegotiatedProtocol == "h2" {
			c.SpeaksHTTP2()
		}
		c.SetState(own)
	}
	if s.connState != nil {
		s.connState(exposed(nc), st)
	}
}

// all returns the servers that serve connections.
func (s *server) all() []*http.Server {
	list := []*http.Server{s.inner}
	if s.http2 != nil {
		list = append(list, s.http2.srv)
	}
	if s.other != nil {
		list = append(list, s.other.srv)
	}
	return list
}

// close closes what serves connections.
func (s *server) close() {
	for _, srv := range s.all() {
		_ = srv.Close()
	}
}
