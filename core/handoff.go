package core

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/gracex-go/gracex/core/internal/conns"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// MaxHandOffState is the most that HandOff takes as state, in bytes.
const MaxHandOffState = wire.MaxPayload / 2

// HandOff moves a connection of the program's own, one that a handler hijacked or an
// accept loop took, to the next generation: to the function that it gave to OnAdopt
// for this name. Call it once the channel of Draining is closed, at a point where
// nothing is half written, with no other goroutine using c. state says what the next
// generation has to know; bytes that were read already and not dealt with (Hijack's
// bufio.Reader may have some) belong into it.
//
// Where connections have to do with each other, as in a chat, the old process has to
// stop reading from all of them before it hands the first one off: from then on the
// new process may act on what its clients say. examples/websocket shows how.
//
// HandOff returns when the next generation has the connection: c is then closed in
// this process only, and the client notices nothing. With an error, which is
// ErrNotMoved, c is the caller's as before: say goodbye on it. That is so on a
// stop, which is ErrStopped too, under TLS (the keys stay here) and for any other
// wrapper around the connection (pass the one that Hijack returned), without room in
// the new process, and if that has no OnAdopt for the name. If the new process does
// not answer until this one's drain has to end, it is not known who has it: c is
// closed here, and HandOff returns nil. Any goroutine may call it.
func HandOff(c net.Conn, name string, state []byte) error {
	err := handOff(c, name, state)
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

func handOff(nc net.Conn, name string, state []byte) error {
	if name == "" || len(name) > conns.MaxName {
		return fmt.Errorf("the name is OnAdopt's and has 1 to %d bytes", conns.MaxName)
	}
	if len(state) > MaxHandOffState {
		return fmt.Errorf("the state has %d bytes, and %d is the most", len(state), MaxHandOffState)
	}
	c, tracked := nc.(*conns.Conn)
	if tracked {
		if !c.Is(conns.Hijacked) && !c.Is(conns.Raw) {
			return errors.New("an http.Server uses it: hijack it first")
		}
		nc = c.Conn
	}
	t, ok := conns.Transport(nc)
	if !ok {
		return fmt.Errorf("a %T is more than its descriptor", nc)
	}
	u := running.Load()
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
	if tracked {
		if err := m.Leave(c, what); err != nil {
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

// OnAdopt sets what takes over the connections that the old process passes to HandOff
// with this name. It is called in a goroutine of its own for each, once this
// process is current; it may drain already, and then c can go on to the next process at
// once. The connection is the function's to close. The socket itself, a *net.TCPConn
// or *net.UnixConn, is behind c's NetConn method. If the function panics, that is
// logged and the connection closed. Set it before Ready; nil removes it, and a second
// one for the same name replaces the first.
func OnAdopt(name string, adopt func(c net.Conn, state []byte)) { adopters.set(name, adopt) }

// adopters holds what was given to OnAdopt.
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
