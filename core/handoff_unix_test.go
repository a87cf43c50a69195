//go:build unix

package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// TestHandoffRefuses says why a connection stays.
func TestHandoffRefuses(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.ServeTest(t, &http.Server{Handler: http.NotFoundHandler()})
	_, server := pair(t)
	defer server.Close()
	used := u.conns.Track(server, nil, conns.New)
	refused := func(want string, c net.Conn, name string, state []byte) {
		t.Helper()
		if err := Handoff(c, name, state); !errors.Is(err, ErrNotMoved) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("Handoff = %v, want %q", err, want)
		}
	}
	refused("hijack it first", used, "x", nil)
	refused("1 to 255", server, "", nil)
	refused("1 to 255", server, strings.Repeat("x", 256), nil)
	refused("131073", server, "x", make([]byte, MaxHandoffState+1))
	refused("more than its descriptor", hiddenConn{server}, "x", nil)
	refused("no upgrade hands over", server, "x", nil)
	go func() { _ = u.Stop(context.Background()) }()
	<-u.Draining()
	refused("there is no new process", server, "x", nil)
	if err := Handoff(server, "x", nil); !errors.Is(err, ErrStopped) {
		t.Errorf("Handoff = %v, want ErrStopped", err)
	}
	must(t, used.Close())
}

// TestHandoffCloses: a connection that was handed off is not this process's any more,
// whoever took it out of the accept queue.
func TestHandoffCloses(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.ServeTest(t, &http.Server{Handler: http.NotFoundHandler()})
	next := &takesAll{offered: make(chan wire.OfferMsg, 1)}
	m := conns.NewMover(next, u.conns, 1, true, u.log)
	u.conns.MoveBy(m)
	m.Start()
	u.phase.draining.Store(true)
	defer u.phase.draining.Store(false)
	_, own := pair(t)
	_, server := pair(t)
	tracked := u.conns.Track(server, nil, conns.Hijacked)
	for _, c := range []net.Conn{own, tracked} {
		handed := make(chan error, 1)
		go func() { handed <- Handoff(c, "x", []byte("state")) }()
		if got := (<-next.offered).Conns; len(got) != 1 || got[0].Name != "x" || string(got[0].State) != "state" {
			t.Errorf("offered %+v", got)
		}
		must(t, <-handed)
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write = %v", err)
		}
	}
	if !u.conns.Empty(true) {
		t.Error("a connection is still in the table")
	}
}

// takesAll is a new process that takes all that it is offered.
type takesAll struct{ offered chan wire.OfferMsg }

func (n *takesAll) Room() int       { return 10 }
func (n *takesAll) Interrupt()      {}
func (n *takesAll) SayMoved(uint64) {}

func (n *takesAll) Exchange(offer []byte, _ []int, _ <-chan struct{}, _ func() bool) (wire.Frame, error) {
	f, err := wire.Read(bytes.NewReader(offer))
	if err != nil {
		return f, err
	}
	var msg wire.OfferMsg
	if err := f.Decode(&msg); err != nil {
		return f, err
	}
	n.offered <- msg
	b, err := wire.Append(nil, wire.Taken, wire.TakenMsg{Room: 9})
	if err != nil {
		return f, err
	}
	return wire.Read(bytes.NewReader(b))
}

type hiddenConn struct{ net.Conn }

// TestTransport: a listener of the program's that makes connections of its own kind has
// them stay.
func TestTransport(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	for name, ln := range map[string]net.Listener{"plain": tcp, "special": special{tcp.(*net.TCPListener)}} {
		l, err := newListener(ln, -1, "tcp", ln.Addr().String())
		must(t, err)
		u2 := &Upgrader{conns: u.conns, phase: newPhase()}
		close(u2.phase.accepting)
		l.bind(u2)
		c, err := net.Dial("tcp", tcp.Addr().String())
		must(t, err)
		nc, err := acceptFrom(&server{u: u2, ln: l, moves: true})
		must(t, err)
		if moves := nc.(*conns.Conn).CanMove(); moves != (name == "plain") {
			t.Errorf("%s: moves %v", name, moves)
		}
		must(t, nc.Close())
		must(t, c.Close())
		must(t, fd.Close(l.dup))
	}
	must(t, tcp.Close())
}

type special struct{ *net.TCPListener }

func (s special) Accept() (net.Conn, error) {
	c, err := s.TCPListener.Accept()
	return specialConn{c.(*net.TCPConn)}, err
}

type specialConn struct{ *net.TCPConn }

var _ syscall.Conn = specialConn{}

// acceptFrom accepts as the inner server of s does.
func acceptFrom(s *server) (net.Conn, error) {
	s.side = s.newSide()
	return (*acceptor)(s).Accept()
}
