package core

import (
	"net"
	"net/http"
	"reflect"
	"sync"

	"github.com/gracex-go/gracex/core/internal/conns"
)

// acceptor is the listener that the inner server accepts from.
type acceptor server

// Addr returns the listener's address.
func (a *acceptor) Addr() net.Addr { return a.ln.Addr() }

// Close is called by net/http when its accept loop ends.
func (a *acceptor) Close() error { return a.ln.Close() }

// Accept returns the next connection that the inner server can serve.
func (a *acceptor) Accept() (net.Conn, error) {
	a.turns.accept.end()
	for {
		nc, err := a.accept()
		if err != nil {
			return nil, err
		}
		if !(*server)(a).passOn(nc) {
			a.turns.accept.begin(&a.callbacks)
			return nc, nil
		}
	}
}

// turn is one accept loop's of several for a server. net/http calls ConnContext and ConnState(StateNew) from
// the accept loop, between two Accepts, so a program may rely on it that there is one connection at a time.
// Here a loop has the turn from the return of Accept to its next Accept. Only the loop's goroutine uses it,
// and whatever the callbacks do with connections and listeners takes no turn.
type turn struct{ held *sync.Mutex }

func (t *turn) begin(mu *sync.Mutex) {
	mu.Lock()
	t.held = mu
}

func (t *turn) end() {
	if t.held != nil {
		t.held.Unlock()
		t.held = nil
	}
}

// accept returns a connection that is in the table, or one that net/http must
// see as it is, a *tls.Conn above all.
func (a *acceptor) accept() (net.Conn, error) {
	if _, own := a.ln.(*listener); !own { // which waits by itself
		select {
		case <-a.u.phase.accepting:
		default:
			select {
			case <-a.u.phase.accepting:
			case <-a.u.phase.goodbye.Channel(): // before it ever was
				return nil, net.ErrClosed
			}
		}
	}
	nc, err := a.ln.Accept()
	if c, ok := nc.(*conns.Conn); ok && a.moves && !a.secure {
		if _, ok := conns.Transport(c.Conn); ok {
			c.BelongsTo(a.side)
		}
	}
	if err != nil || conns.Tracked(nc) != nil {
		return nc, err
	}
	if cs, ok := nc.(connectionStater); ok {
		if !reflect.ValueOf(nc).Comparable() {
			return &unlike{nc, cs}, nil
		}
		return nc, nil
	}
	return a.u.conns.TrackForeign(nc, (*server)(a).origin()), nil
}

// unlike stands for a connection of a type of the program's that can be no key of a map.
type unlike struct {
	net.Conn
	connectionStater
}

// exposed is the connection that the program sees.
func exposed(nc net.Conn) net.Conn {
	if u, ok := nc.(*unlike); ok {
		return u.Conn
	}
	return conns.Exposed(nc)
}

// foreignConns are connections that have no wrapper of ours, neither around nor
// inside: TLS that the program's own listener made. They are followed by
// net/http's word alone.
type foreignConns struct {
	mu sync.Mutex
	m  map[net.Conn]*conns.Conn
}

func (f *foreignConns) track(t *conns.Table, nc net.Conn, at *conns.Origin) *conns.Conn {
	c := t.TrackForeign(nc, at)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = make(map[net.Conn]*conns.Conn)
	}
	f.m[nc] = c
	return c
}

func (f *foreignConns) find(nc net.Conn, st http.ConnState) *conns.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.m[nc]
	if c != nil && (st == http.StateClosed || st == http.StateHijacked) {
		// Its end will not be seen: net/http closes it, or its new owner does.
		delete(f.m, nc)
		c.Leave()
	}
	return c
}
