package wsmove

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"

	"github.com/gracex-go/gracex/core/internal/conns"
)

// Session is one WebSocket connection as its handler sees it in one process. Any goroutine may call its methods. Move
// returns it.
type Session struct {
	m        *mover
	moved    bool
	state    []byte        // from the old process
	said     answer        // to the handshake, to the client
	request  []byte        // its head, as the client has sent it
	returned chan struct{} // closed when the handler has
	ready    func()        // called when the handshake of a connection that has come is answered; nil for another one

	mu     sync.Mutex
	does   conduct
	fixed  string          // why it can't move; "" if it can
	within <-chan struct{} // the drain that fixed holds for; nil is every one
	onMove func() []byte
}

// conduct is what becomes of a connection in a drain.
type conduct int

const (
	untouched conduct = iota // nothing: the handler has called neither Move nor Leave
	leaves
	moves
)

type sessionKey struct{}

// Move lets the connection of a request move with an upgrade, and returns its session. Call it before the library's
// Upgrade or Accept. In the new process the handler is called again with the same request.
//
// Call it only if the handler can begin anew in the middle of a conversation: what a client says or is told once, at
// the beginning, has to be in the request or in the session's State.
//
// Move adds client_no_context_takeover to the offers of permessage-deflate in the request's header. Without Handler
// around the handler it returns a session that never moves.
func Move(r *http.Request) *Session {
	s := sessionOf(r)
	s.conducts(moves)
	if s.m != nil {
		offerMovable(r.Header)
	}
	return s
}

// Leave is for a connection that must not move, because its client has said something in a message that the new process
// would have to know. When this process drains, the client gets the close code 1012 at a moment of its own (see
// WithSpread), between two messages. Its handler gets ErrMoving. On a stop it is 1001. Call it before the library's
// Upgrade or Accept. A connection for which neither Leave nor Move was called lives until the drain cuts it.
func Leave(r *http.Request) { sessionOf(r).conducts(leaves) }

func sessionOf(r *http.Request) *Session {
	if s, ok := r.Context().Value(sessionKey{}).(*Session); ok {
		return s
	}
	return &Session{}
}

// with returns the request by which the handler finds s.
func (s *Session) with(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), sessionKey{}, s))
}

// Moved reports whether the connection has come from the old process. Its client does not know that, so do not greet it
// again, and do not announce it.
func (s *Session) Moved() bool { return s.moved }

// State returns what the function of OnMove has returned in the old process, or what that process got from the one
// before if it has set none. It is nil for a new connection.
func (s *Session) State() []byte { return s.state }

// OnMove sets the function that returns the state for the next process, MaxState bytes at most. It is called once, when
// nothing is read or written here any more and the handler has closed the connection and returned, or has not done so
// within a second. It is not called for a connection that can't move. A second call replaces the function.
func (s *Session) OnMove(state func() []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onMove = state
}

func (s *Session) conducts(c conduct) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.does = c
}

func (s *Session) conduct() conduct {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.does
}

// fix says why the connection can't move. The first word counts.
func (s *Session) fix(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fixed == "" {
		s.fixed = why
	}
}

// fixWithin is fix for one drain.
func (s *Session) fixWithin(drain <-chan struct{}, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fixed, s.within = why, drain
}

// staysIn says why the connection can't move in a drain. "" says that it can.
func (s *Session) staysIn(drain <-chan struct{}) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.does != moves:
		return "its handler has not called Move"
	case s.within != nil && s.within != drain:
		return ""
	}
	return s.fixed
}

// nextState is what goes along.
func (s *Session) nextState() []byte {
	s.mu.Lock()
	f := s.onMove
	s.mu.Unlock()
	if f == nil {
		return s.state
	}
	return f()
}

// answered hears the first answer to the handshake.
func (s *Session) answered(a answer) {
	s.said = a
	switch {
	case len(a.protocol)+len(a.extensions) > maxMeta/2:
		s.fix("the answer to its handshake is too long")
	case !movable(a.extensions):
		s.fix("its extensions are " + a.extensions)
	}
}

// carriedBy looks at what the handler got from Hijack.
func (s *Session) carriedBy(nc net.Conn) {
	switch c := nc.(type) {
	case conns.SecureConn:
		if err := conns.Tracked(c).StaysSecure(); err != nil {
			s.fix(err.Error())
		}
		return
	case *conns.Conn:
		nc = c.NetConn()
	}
	if tlsOf(nc) != nil {
		s.fix("it is over TLS, and the keys are in this process")
	} else if _, ok := conns.Transport(nc); !ok {
		s.fix("something is between it and its socket")
	}
}

// tlsOf returns what the TLS handshake of a connection has brought about; nil for one in the clear.
func tlsOf(nc net.Conn) *tls.ConnectionState {
	c, ok := nc.(interface{ ConnectionState() tls.ConnectionState })
	if !ok {
		return nil
	}
	st := c.ConnectionState()
	return &st
}
