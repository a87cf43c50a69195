package core

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// HTTP2Listener returns a listener for a server of HTTP/2 that is not net/http's, but the one of google.golang.org/grpc
// (grpc.Server.Serve), in place of ln. Module grpcx calls it. The connections of the server in the clear move to the next
// generation when they have no open stream, and Accept returns those that have moved here, too (docs/moving-http2.md). With
// WithTLSHandoff those over TLS do, of a server that shakes hands by HTTP2Handshake.
//
// In a drain Accept goes on until no connection is to move any more, and then returns net.ErrClosed. From there on the
// server sees to it that its clients leave: core says no GOAWAY for it.
//
// probe serves connections with another server of the same kind, with settings of its own, until Accept returns an
// error. It shows, in memory and before a connection is to move, whether that server takes connections over and gives them up
// as core relies on. For a call of any method the server reads one message, a grpc.health.v1.HealthCheckRequest, and
// answers with another one of 65,530 bytes. Its service begins with the method, a space, the value of the metadata x-a, a
// space, that of x-b, and a semicolon. With a nil probe no connection moves.
//
// HTTP2Listener returns ln itself if its connections can't move: it is not one of u's, but wraps one, or
// WithConnectionHandoff(false) is set. Call it before Ready. With WithTLSHandoff the server has to serve before Ready as
// well: that waits for it, at most 10 s, and then no TLS connection moves. No longer than that it waits for a server that
// does nothing with the first connection that Accept returns, which is one of this process to itself.
func (u *Upgrader) HTTP2Listener(ln net.Listener, probe func(net.Listener) error) net.Listener {
	own, ok := ln.(*listener)
	if !ok || !u.cfg.handoff || conns.SelfTest() != nil {
		return ln
	}
	l := &movingListener{u: u, own: own, fresh: make(chan accepted), probes: make(chan net.Conn), over: make(chan struct{})}
	l.secrecy.known = make(chan struct{})
	l.side = &conns.Side{
		From: &own.origin, Adopted: make(chan *conns.Conn), Over: l.over,
		Follow: func(c *conns.Conn, f *h2.Conn) {
			c.Carries(f)
			c.MoveHTTP2()
		},
		Leave: func(*h2.Conn) {}, // the server asks all that are left
		Moves: sync.OnceValue(func() error {
			err := errNoProbe
			if probe != nil {
				if err = h2.ProbeMoveGRPC(probe); err != nil {
					err = fmt.Errorf("this release of the server does not do what gracex relies on: %w", err)
				}
			}
			if err != nil {
				u.log.Warn("the connections of this server do not move; their clients are asked to reconnect",
					"address", ln.Addr().String(), "error", err)
			}
			return err
		}),
	}
	l.side.Greeting = sync.OnceValues(l.greeting)
	u.moving.add(l)
	return l
}

// errNoProbe is why the connections of a server stay that nobody can try.
var errNoProbe = errors.New("HTTP2Listener got no probe of this server")

// movingListener is what HTTP2Listener returns.
type movingListener struct {
	u       *Upgrader
	own     *listener
	side    *conns.Side
	secrecy secrecy

	begin  sync.Once     // of pump
	fresh  chan accepted // from own
	probes chan net.Conn // of this process itself
	over   chan struct{} // closed by end
	ends   sync.Once
}

// accepted is what an Accept has returned.
type accepted struct {
	nc  net.Conn
	err error
}

// Addr returns the listener's address.
func (l *movingListener) Addr() net.Addr { return l.own.Addr() }

// Accept returns the next connection, of those that come and those that have moved here.
func (l *movingListener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.pump() })
	accepting, adopted := l.u.phase.accepting, (chan *conns.Conn)(nil)
	for {
		select {
		case <-accepting:
			accepting, adopted = nil, l.side.Adopted
		case a := <-l.fresh:
			return a.nc, a.err
		case c := <-adopted:
			c.AcceptHTTP2()
			return c, nil
		case nc := <-l.probes:
			return nc, nil
		case <-l.over:
			return nil, net.ErrClosed
		}
	}
}

// Close closes the listener for good.
func (l *movingListener) Close() error {
	err := l.own.Close()
	l.end()
	return err
}

// end has Accept return.
func (l *movingListener) end() {
	l.ends.Do(func() {
		close(l.over)
		l.u.moving.remove(l)
	})
}

// pump accepts.
func (l *movingListener) pump() {
	l.ask()
	for {
		nc, err := l.own.Accept()
		if err != nil && isClosed(l.own.closed) && l.u.phase.draining.Load() {
			l.settle()
			return
		}
		if c, ok := nc.(*conns.Conn); ok {
			if _, ok := conns.Transport(c.Conn); ok && l.isSecure() {
				nc = &unshaken{c, l}
			} else if ok {
				c.ServeHTTP2(l.side)
			}
		}
		select {
		case l.fresh <- accepted{nc, err}:
		case <-l.over:
			if nc != nil {
				_ = nc.Close()
			}
			return
		}
	}
}

// settle waits until no connection is to move any more.
func (l *movingListener) settle() {
	tick := time.NewTicker(timing.HTTP2Settle)
	defer tick.Stop()
	for !l.u.conns.EndSide(l.side, l.end) {
		select {
		case <-tick.C:
		case <-l.over:
			return
		case <-l.u.phase.finished:
			l.end()
		}
	}
}

// greeting is what its server says first; an error if no connection can move to it.
func (l *movingListener) greeting() (*h2.Greeting, error) {
	if err := l.side.Moves(); err != nil {
		return nil, err
	}
	return h2.GreetGRPC(l.Addr(), func(nc net.Conn) { l.serveOwn(&ownConn{nc}) })
}

// serveOwn has the server serve a connection of this process to itself.
func (l *movingListener) serveOwn(nc net.Conn) {
	select {
	case l.probes <- nc:
	case <-l.over:
		_ = nc.Close()
	}
}

// movingListeners are those of a process. The zero movingListeners has none.
type movingListeners struct {
	mu   sync.Mutex
	list []*movingListener
}

func (m *movingListeners) add(l *movingListener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = append(m.list, l)
}

func (m *movingListeners) remove(l *movingListener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.list = slices.DeleteFunc(slices.Clone(m.list), func(o *movingListener) bool { return o == l })
}

func (m *movingListeners) all() []*movingListener {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list
}
