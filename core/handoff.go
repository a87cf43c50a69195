package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// MaxHandoffState is the largest state that Handoff accepts, in bytes.
const MaxHandoffState = wire.MaxPayload / 2

// Handoff moves a connection of the program's own to the next generation. The connection is one
// that a handler hijacked or that an accept loop of the program accepted. It goes to the function
// that the next generation registered with OnHandoff under name.
//
// Call Handoff after the channel of Draining is closed, at a point where no message is half
// written and no other goroutine uses c. In state put what the next generation has to know,
// including bytes that were read but not processed, for example from Hijack's bufio.Reader. State
// can be nil.
//
// If connections depend on each other, as in a chat, stop reading from all of them before you
// hand off the first. From then on the new process can act on messages of its clients. The
// program in examples/websocket shows how.
//
// Handoff returns nil when the next generation has the connection. Then c is closed in this
// process only, and the client notices nothing. If the new process does not answer before this
// process's drain has to end, nobody knows which process has the connection. Handoff then closes
// c and returns nil as well.
//
// An error is ErrNotMoved, and c remains the caller's. Handoff fails on a stop, where the error
// is ErrStopped too. It fails under TLS, whose keys stay in this process, unless WithTLSHandoff says
// otherwise. It fails for any other wrapper around the connection, so pass the one that Hijack or
// Accept returned. It fails if the new process has no room, or no OnHandoff for name. Any goroutine
// may call Handoff.
func Handoff(c net.Conn, name string, state []byte) error {
	err := handoff(c, name, state)
	if err != nil {
		return because(ErrNotMoved, err)
	}
	return nil
}

// Why there is nobody to hand a connection off to.
var (
	errNoTaker = errors.New("the new process does not take connections over")
	errNoNext  = because(ErrStopped, errors.New("there is no new process"))
)

func handoff(nc net.Conn, name string, state []byte) error {
	if name == "" || len(name) > text.MaxName {
		return fmt.Errorf("the name is OnHandoff's and has 1 to %d bytes", text.MaxName)
	}
	if len(state) > MaxHandoffState {
		return fmt.Errorf("the state has %d bytes, and %d is the most", len(state), MaxHandoffState)
	}
	u := running.Load()
	c := u.trackedOf(nc)
	if c != nil {
		if !c.Is(conns.Hijacked) && !c.Is(conns.Raw) {
			return errors.New("an http.Server uses it: hijack it first")
		}
		nc = c.Conn
	}
	t, ok := conns.Transport(nc)
	if !ok && (c == nil || c.TLS() == nil) {
		return fmt.Errorf("a %T is more than its descriptor", nc)
	}
	if u == nil || !u.phase.draining.Load() {
		return errors.New("no upgrade hands over; wait for the channel of Draining")
	}
	m := u.conns.MovesBy()
	if m == nil {
		if u.State() == StateDraining {
			return errNoTaker
		}
		return errNoNext
	}
	what := wire.Conn{Name: name, State: state}
	if c != nil {
		if err := m.LeaveHijacked(c, what); err != nil {
			return err
		}
		_ = c.Close()
		return nil
	}
	if err := m.Move(t, what); err != nil {
		return err
	}
	_ = nc.Close()
	return nil
}

// trackedOf returns the connection of the table that a program has as nc; nil if there is none.
func (u *Upgrader) trackedOf(nc net.Conn) *conns.Conn {
	switch c := nc.(type) {
	case *conns.Conn:
		return c
	case conns.SecureConn:
		return conns.Tracked(c)
	}
	if u == nil {
		return nil
	}
	return u.conns.Given(nc)
}

// OnHandoff registers the function that receives connections sent with Handoff under name. Each
// call runs in a goroutine of its own, after this process has become current. This process can be
// draining by then, and adopt can hand c off to the next generation at once.
//
// The function owns c and closes it. It is the socket itself, a *net.TCPConn or *net.UnixConn, as
// a handler gets it from Hijack, or under TLS a connection with the method ConnectionState. If adopt
// panics, the panic is logged and c is closed. Call OnHandoff before Ready. A nil function removes
// the registration, and a second call for the same name replaces the first. HandoffContext returns
// the context that the connection's requests would have.
func OnHandoff(name string, adopt func(c net.Conn, state []byte)) { adopters.set(name, adopt) }

// HandoffContext returns the context that the requests of a connection would have which an OnHandoff
// function has received. It is for a program that calls an http.Handler for such a connection again.
// The server is the one whose listener has the connection's local address, and its BaseContext and
// ConnContext are called as net/http calls them. The context has http.ServerContextKey and
// http.LocalAddrContextKey, and Draining knows it. Without such a server it is the background
// context with the local address.
func HandoffContext(c net.Conn) context.Context {
	ctx := context.Background()
	u := running.Load()
	var s *server
	if u != nil {
		s = u.serverAt(c.LocalAddr())
	}
	if s != nil {
		ctx = context.WithValue(s.base, http.ServerContextKey, s.user)
	}
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, c.LocalAddr())
	if tracked := u.trackedOf(c); tracked != nil {
		ctx = context.WithValue(ctx, connKey{}, tracked)
	}
	if s != nil && s.connCtx != nil {
		ctx = s.connCtx(ctx, c)
	}
	return ctx
}

// adopters holds what was given to OnHandoff.
var adopters adopterTable

type adopterTable struct {
	mu sync.Mutex
	m  map[string]func(net.Conn, []byte)
}

func (t *adopterTable) set(name string, adopt func(net.Conn, []byte)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[string]func(net.Conn, []byte))
	}
	t.m[name] = adopt
}

func (t *adopterTable) find(name string) func(net.Conn, []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[name]
}
