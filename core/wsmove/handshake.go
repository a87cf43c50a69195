package wsmove

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"
)

// answered hears what the library has said to the handshake. The caller holds out.mu. In a process that the connection
// has come to, another answer than the client's is an error.
func (c *conn) answered(a answer) error {
	s := c.s
	switch {
	case s.moved && a != s.said:
		return fmt.Errorf("wsmove: status %d, subprotocol %q and extensions %q of the answer differ from what the client was told: %d, %q, %q",
			a.status, a.protocol, a.extensions, s.said.status, s.said.protocol, s.said.extensions)
	case s.moved:
		c.out.phase = open
		c.release()
		if len(c.out.unsent) > 0 {
			go c.sendUnsent() // not before: it can take as long as the client likes, and nothing else can be written meanwhile
		}
	case a.status != http.StatusSwitchingProtocols:
		c.out.phase = foreign
		return nil
	default:
		c.out.phase = open
		s.answered(a)
	}
	if s.ready != nil {
		s.ready()
	}
	s.m.add(c)
	return nil
}

// adopt serves a connection that has come from the old process.
func (m *mover) adopt(nc net.Conn, state []byte) {
	l, err := decodeLuggage(state)
	if err != nil {
		m.log.Error("a WebSocket has come with a state that this version can't read; its client is told to reconnect", "error", err)
		newConn(nc, &Session{m: m}).goodbye(codeRestart)
		return
	}
	m.watch()
	if m.leaving() != nil { // it goes on as it is
		l.Batch, l.Together = 0, 0
		if b, err := l.encode(); err == nil && m.core.handoff(nc, m.name, b) == nil {
			return
		}
	}
	m.serve(nc, l, nil)
}

// takeBack serves a connection that the new process does not take, or not any more.
func (m *mover) takeBack(nc net.Conn, l *luggage, drain <-chan struct{}, why error) {
	m.log.Debug("a WebSocket is not taken by the new process, and served here", "error", why)
	defer func() {
		if p := recover(); p != nil { // of ConnContext; OnHandoff has the same
			m.log.Error("a WebSocket can't be served again", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			_ = nc.Close()
		}
	}()
	_ = nc.SetDeadline(time.Time{})
	m.serve(nc, l, func(s *Session) { s.fixWithin(drain, "the new process does not take it: "+why.Error()) })
}

// serve calls the handler again for a connection.
func (m *mover) serve(nc net.Conn, l *luggage, prepare func(*Session)) {
	s := &Session{
		m: m, moved: true, state: l.state, request: l.request, returned: make(chan struct{}),
		said: answer{http.StatusSwitchingProtocols, l.Protocol, l.Extensions},
	}
	s.carriedBy(nc)
	if prepare != nil {
		prepare(s)
	}
	c := newConn(nc, s)
	c.in.pending, c.out.unsent = l.unread, l.unsent
	c.keep()
	if l.Together > 0 && m.gatherTime > 0 {
		c.gate = m.gateOf(l.Batch, l.Together)
		defer c.arrive()
	}
	r, err := requestOf(l.request)
	if err != nil {
		m.log.Error("the request of a WebSocket that has moved can't be read; its client is told to reconnect", "error", err)
		c.goodbye(codeRestart)
		return
	}
	ctx, cancel := context.WithCancel(m.core.context(nc))
	defer cancel()
	r.RemoteAddr, r.TLS = nc.RemoteAddr().String(), tlsOf(nc)

	m.slots <- struct{}{}
	free := sync.OnceFunc(func() { <-m.slots })
	defer free()
	slow := time.AfterFunc(m.handshakeTime, func() {
		if c.refuse() {
			m.log.Warn("a handler has not answered the handshake of a WebSocket that has moved; its client is told to reconnect",
				"request", r.URL.Path, "within", m.handshakeTime.String())
			free()
			cancel()
			c.goodbye(codeRestart)
		}
	})
	s.ready = func() { slow.Stop(); free() }

	w := &replay{c: c, header: make(http.Header)}
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			m.log.Error("the handler of a WebSocket that has moved has panicked", "request", r.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		slow.Stop()
		close(s.returned)
		switch {
		case c.refuse(): // another answer, or none
			m.log.Warn("the new version does not take a WebSocket over; its client is told to reconnect", "request", r.URL.Path, "status", w.status, "error", w.err)
			c.goodbye(codeRestart)
		case p != nil && !isClosed(c.closed):
			m.remove(c)
			c.sealUnlessClosed()
			c.goodbye(codeInternal)
		}
	}()
	m.handler.ServeHTTP(w, s.with(r.WithContext(ctx)))
}

// refuse ends the handshake if it is not answered yet, and reports whether that was so.
func (c *conn) refuse() bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.phase != shaking {
		return false
	}
	c.out.phase = refused
	return true
}
