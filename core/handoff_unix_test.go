//go:build unix

package core

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

func TestHandoff_RefusalSaysWhyAConnectionStays(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.ServeTest(t, notFound())
	_, server := pair(t)
	defer server.Close()
	used := u.conns.Track(server, nil, conns.New)
	refused := func(want string, c net.Conn, name string, state []byte) {
		t.Helper()
		expectError(t, Handoff(c, name, state), ErrNotMoved, want)
	}
	refused("hijack it first", used, "x", nil)
	refused("1 to 255", server, "", nil)
	refused("1 to 255", server, strings.Repeat("x", 256), nil)
	refused("131073", server, "x", make([]byte, MaxHandoffState+1))
	refused("more than its descriptor", struct{ net.Conn }{server}, "x", nil)
	refused("no upgrade hands over", server, "x", nil)
	go func() { _ = u.Stop(context.Background()) }()
	<-u.Draining()
	refused("there is no new process", server, "x", nil)
	expectError(t, Handoff(server, "x", nil), ErrStopped)
	must(t, used.Close())
}

// TestHandoff_ClosesTheConnection: it is not this process's any more, whoever took it out of the accept queue.
func TestHandoff_ClosesTheConnection(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.ServeTest(t, notFound())
	next := &takesAll{t, make(chan wire.OfferMsg, 1)}
	m := conns.NewMover(next, u.conns, 1, true, time.Minute, u.log)
	u.conns.MoveBy(m)
	m.Start()
	u.phase.draining.Store(true)
	defer u.phase.draining.Store(false)
	_, own := pair(t)
	_, server := pair(t)
	tracked := u.conns.Track(server, nil, conns.Hijacked)
	_, socket := pair(t)
	given := u.conns.Track(socket, nil, conns.Hijacked).Give()
	expectEqual(t, "a handler gets the socket itself", given, socket)
	for _, c := range []net.Conn{own, tracked, given} {
		handed := make(chan error, 1)
		go func() { handed <- Handoff(c, "x", []byte("state")) }()
		if got := (<-next.offered).Conns; len(got) != 1 || got[0].Name != "x" || string(got[0].State) != "state" {
			t.Errorf("offered %+v", got)
		}
		must(t, <-handed)
		_, err := c.Write([]byte("x"))
		expectError(t, err, net.ErrClosed)
	}
	expectEqual(t, "none is in the table", u.conns.Empty(true), true)
}

// TestHandoffContext_IsThatOfTheServersRequests, for a connection to its listener.
func TestHandoffContext_IsThatOfTheServersRequests(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	type key string
	srv := notFound()
	srv.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), key("base"), "b") }
	srv.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, key("conn"), c)
	}
	_, socket := pairAt(t, u, u.ServeTest(t, srv))
	c := u.conns.Adopt(socket, nil, wire.Conn{Name: "x"}, nil).Give()
	ctx := HandoffContext(c)
	expectEqual(t, "BaseContext's", ctx.Value(key("base")), any("b"))
	expectEqual(t, "ConnContext's", ctx.Value(key("conn")), any(c))
	expectEqual(t, "the server", ctx.Value(http.ServerContextKey), any(srv))
	expectEqual(t, "the local address", ctx.Value(http.LocalAddrContextKey), any(c.LocalAddr()))
	expectEqual(t, "the connection", ctx.Value(connKey{}), any(u.conns.Given(c)))
	must(t, c.Close())

	_, other := pair(t)
	defer other.Close()
	ctx = HandoffContext(other)
	expectEqual(t, "nobody's server", ctx.Value(http.ServerContextKey), any(nil))
	expectEqual(t, "nobody's local address", ctx.Value(http.LocalAddrContextKey), any(other.LocalAddr()))
}

// takesAll is a new process that takes all that it is offered.
type takesAll struct {
	t       *testing.T
	offered chan wire.OfferMsg
}

func (n *takesAll) Room() int         { return 10 }
func (n *takesAll) Takes(string) bool { return true }
func (n *takesAll) Interrupt()        {}
func (n *takesAll) SayMoved(uint64)   {}

func (n *takesAll) Exchange(offer []byte, _ []int, _ <-chan struct{}, _ func() bool) (wire.Frame, error) {
	f, err := wire.Read(bytes.NewReader(offer))
	must(n.t, err)
	var msg wire.OfferMsg
	must(n.t, f.Decode(&msg))
	n.offered <- msg
	return frame(n.t, word{wire.Taken, wire.TakenMsg{Room: 9}}), nil
}

// TestMove_ConnectionsOfASpecialListenerStay: the program makes connections of its own kind.
func TestMove_ConnectionsOfASpecialListenerStay(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer tcp.Close()
	for name, ln := range map[string]net.Listener{"plain": tcp, "special": special{tcp.(*net.TCPListener)}} {
		l, err := newListener(ln, -1, "tcp", ln.Addr().String())
		must(t, err)
		u2 := &Upgrader{conns: u.conns, phase: newPhase()}
		close(u2.phase.accepting)
		l.bind(u2)
		c, err := net.Dial("tcp", tcp.Addr().String())
		must(t, err)
		s := &server{u: u2, ln: l, moves: true}
		s.side = s.newSide()
		nc, err := (*acceptor)(s).Accept() // as its inner server does
		must(t, err)
		expectEqual(t, name+" moves", nc.(*conns.Conn).CanMove(), name == "plain")
		must(t, nc.Close())
		must(t, c.Close())
		must(t, fd.Close(l.duplicate()))
	}
}

type special struct{ *net.TCPListener }

func (s special) Accept() (net.Conn, error) {
	c, err := s.TCPListener.Accept()
	return specialConn{c.(*net.TCPConn)}, err
}

// specialConn is a syscall.Conn, too.
type specialConn struct{ *net.TCPConn }
