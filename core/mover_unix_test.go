//go:build unix

package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/peer"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// playedNext is a new process that a test plays for a mover in this one.
type playedNext struct {
	*playedOld // the same kind of end of a handover socket
	in         *fd.Receiver
	next       *peer.Next // what the mover sees
}

// newPlayedNext makes a mover, started, and the other end of its handover socket.
func newPlayedNext(t *testing.T, room int) (*mover, *playedNext) {
	t.Helper()
	m, h := newPlayedNextBeforeCommit(t, room)
	h.next.Interrupt() // the write deadline is as the commit of ten seconds ago has left it
	m.start()
	t.Cleanup(m.stop)
	return m, h
}

// newPlayedNextBeforeCommit is newPlayedNext before commit: the mover is not started.
func newPlayedNextBeforeCommit(t *testing.T, room int) (*mover, *playedNext) {
	t.Helper()
	ours, theirs := controlPair(t)
	next := peer.Follow("app", &fake{}, ours, new(atomic.Bool))
	must(t, wire.Write(theirs, wire.Ready, wire.ReadyMsg{Room: room}))
	for range next.Start { //nolint:revive // until ready is read
	}
	m := newTestMover(next)
	return m, &playedNext{&playedOld{t, theirs}, fd.NewReceiver(theirs.(*net.UnixConn)), next}
}

// newTestMover makes the mover of a process that drains.
func newTestMover(to taker) *mover {
	table := newConnTable(newGoodbye())
	table.goodbye.begin()
	m := newMover(to, table, 1, true, slog.New(slog.DiscardHandler))
	table.mover.Store(m)
	return m
}

// gets reads an Offer, keeps no descriptor of it, and returns what it describes.
func (h *playedNext) gets() []wire.Conn {
	h.t.Helper()
	must(h.t, h.in.SetReadDeadline(time.Now().Add(patience)))
	f, err := wire.Read(h.in)
	must(h.t, err)
	files := h.in.Take()
	for _, s := range files {
		must(h.t, fd.Close(s))
	}
	var msg wire.OfferMsg
	must(h.t, f.Decode(&msg))
	if f.Type != wire.Offer || len(files) != len(msg.Conns) {
		h.t.Fatalf("%v with %d descriptors for %d connections", f.Type, len(files), len(msg.Conns))
	}
	return msg.Conns
}

// waiting is a connection in whose first Read, or the one after a request, a goroutine
// waits. What that returns is sent.
func (m *mover) waiting(t *testing.T, used bool, srv *http.Server) (*conn, *client, chan error) {
	t.Helper()
	cl, nc := pair(t)
	c := m.table.track(nc, &origin{network: "tcp", address: "here"}, connNew)
	c.side.Store(&side{http: srv})
	if used {
		c.boundary.http1.Store(true)
		c.setState(connIdle)
		must(t, c.SetReadDeadline(noDeadline))
	}
	c.idle.Add(-int64(time.Hour))
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, readBuffer))
		ended <- err
	}()
	return c, cl, ended
}

// TestMoverAnswers: taken is an end of the stream for net/http, refused is nothing, and
// a connection that is woken after that is not closed.
func TestMoverAnswers(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 10)
	_, _, taken := m.waiting(t, true, &http.Server{})
	hour := time.Hour.Milliseconds()
	if got := h.gets(); len(got) != 1 || got[0].Listener.Address != "here" || got[0].Unused || got[0].IdleMillis < hour {
		t.Errorf("offered %+v", got)
	}
	h.says(wire.Taken, wire.TakenMsg{Room: 9})
	if err := <-taken; !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
	c, cl, refused := m.waiting(t, false, &http.Server{})
	if got := h.gets(); len(got) != 1 || !got[0].Unused {
		t.Errorf("offered %+v", got)
	}
	h.says(wire.Taken, wire.TakenMsg{Room: 9, Refused: []wire.Refusal{{Conn: 0, Reason: "no"}}})
	for !c.boundary.waiting() {
		time.Sleep(time.Millisecond)
	}
	c.wake()
	for !c.boundary.waiting() {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-refused:
		t.Fatalf("Read = %v: net/http would close the connection", err)
	default:
	}
	cl.send("x")
	must(t, <-refused)
	m.settle()
	if c, _ := m.table.account(); c.moved != 1 || c.refused != 1 {
		t.Errorf("counts %+v", c)
	}
	f, err := wire.Read(h.in)
	must(t, err)
	if f.Type != wire.Moved || string(f.Payload) != `{"moved":1}` {
		t.Errorf("%v %s", f.Type, f.Payload)
	}
}

// TestMoverPutsTheDeadlineBack: who was woken and refused waits as long as net/http
// would have waited.
func TestMoverPutsTheDeadlineBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		used bool
		srv  *http.Server
		ends bool
	}{
		"idle, with an IdleTimeout":        {true, &http.Server{IdleTimeout: 1}, true},
		"idle, with a ReadTimeout":         {true, &http.Server{ReadTimeout: 1}, true},
		"idle, with a ReadHeaderTimeout":   {true, &http.Server{ReadHeaderTimeout: 1}, false},
		"unused, with a ReadHeaderTimeout": {false, &http.Server{ReadHeaderTimeout: 1}, true},
		"unused, with an IdleTimeout":      {false, &http.Server{IdleTimeout: 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, _ := newPlayedNext(t, 1)
			m.stop() // nothing is taken
			c, cl, ended := m.waiting(t, tt.used, tt.srv)
			for !c.boundary.waiting() {
				time.Sleep(time.Millisecond)
			}
			c.wake()
			if tt.ends {
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read = %v", err)
				}
				return
			}
			for !c.boundary.waiting() {
				time.Sleep(time.Millisecond)
			}
			cl.send("x")
			must(t, <-ended)
		})
	}
}

// TestMoverWithoutAnswer: at the end of a drain, what was offered and not answered is
// closed, because the new process may have it; what was not offered stays.
func TestMoverWithoutAnswer(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 10)
	_, _, offered := m.waiting(t, true, &http.Server{})
	h.gets()
	second := make(chan error, 1)
	_, server := pair(t)
	go func() { second <- m.offer(server.(*net.TCPConn), &offer{Conn: wire.Conn{Name: "x"}}) }()
	d := &drainer{u: &Upgrader{conns: m.table, phase: newPhase(), log: m.log}}
	must(t, d.cutRest("test")) // waits for nobody, and nothing is left
	if err := <-offered; !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
	if err := <-second; !errors.Is(err, peer.ErrQuit) {
		t.Errorf("offer = %v", err)
	}
	if c, _ := m.table.account(); c.moved != 0 || c.cut != (left{}) {
		t.Errorf("counts %+v", c)
	}
}

// TestMoverLeavesCommitAlone: a drain that has nothing to wait for is over before the
// new process has been told that it is current. Its last word waits for that.
func TestMoverLeavesCommitAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := &silentTaker{moved: make(chan uint64, 1)}
		m := newTestMover(to)
		go m.settle()
		synctest.Wait()
		if to.interrupted.Load() || len(to.moved) > 0 {
			t.Error("something was said before the commit")
		}
		m.start()
		<-to.moved
	})
}

// silentTaker takes connections, and is offered none.
type silentTaker struct {
	taker
	interrupted atomic.Bool
	moved       chan uint64
}

func (to *silentTaker) Room() int             { return 10 }
func (to *silentTaker) Interrupt()            { to.interrupted.Store(true) }
func (to *silentTaker) SayMoved(moved uint64) { to.moved <- moved }

// TestMoverDoesNotUnderstand: after an answer that is none the connections are closed,
// and nothing is offered any more.
func TestMoverDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 10)
	_, _, offered := m.waiting(t, true, &http.Server{})
	h.gets()
	h.says(wire.Taken, "what?")
	if err := <-offered; !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
	<-m.done
	if m.table.mover.Load() != nil {
		t.Error("the mover is still there")
	}
}

// TestMoverBatches: a frame holds what it can, and everything arrives.
func TestMoverBatches(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 1000)
	_, server := pair(t)
	const offers = 20
	var wg sync.WaitGroup
	for i := range offers {
		wg.Go(func() {
			what := wire.Conn{Name: strings.Repeat("\x00", maxName), State: make([]byte, MaxHandOffState-i)}
			if err := m.offer(server.(*net.TCPConn), &offer{Conn: what}); err != nil {
				t.Errorf("offer = %v", err)
			}
		})
	}
	got := map[int]bool{}
	for len(got) < offers {
		for _, c := range h.gets() {
			got[len(c.State)] = true
		}
		h.says(wire.Taken, wire.TakenMsg{Room: 1000})
	}
	wg.Wait()
}

// TestWakeOnlyWhoWaits: a connection that does anything else gets no deadline.
func TestWakeOnlyWhoWaits(t *testing.T) {
	t.Parallel()
	cl, server := pair(t)
	c := newConnTable(nil).track(server, nil, connActive)
	c.wake()
	cl.send("x")
	if _, err := c.Conn.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestHandOffRefuses says why a connection stays.
func TestHandOffRefuses(t *testing.T) {
	t.Parallel()
	u := newTest(t)
	u.serveTest(t, &http.Server{Handler: http.NotFoundHandler()})
	_, server := pair(t)
	defer server.Close()
	used := u.conns.track(server, nil, connActive)
	refused := func(want string, c net.Conn, name string, state []byte) {
		t.Helper()
		if err := HandOff(c, name, state); !errors.Is(err, ErrNotMoved) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("HandOff = %v, want %q", err, want)
		}
	}
	refused("hijack it first", used, "x", nil)
	refused("1 to 255", server, "", nil)
	refused("1 to 255", server, strings.Repeat("x", 256), nil)
	refused("131073", server, "x", make([]byte, MaxHandOffState+1))
	refused("more than its descriptor", hiddenConn{server}, "x", nil)
	refused("no upgrade hands over", server, "x", nil)
	go func() { _ = u.Stop(context.Background()) }()
	<-u.Draining()
	refused("there is no new process", server, "x", nil)
	if err := HandOff(server, "x", nil); !errors.Is(err, ErrStopped) {
		t.Errorf("HandOff = %v, want ErrStopped", err)
	}
	must(t, used.Close())
}

// TestHandOffCloses: a connection that was handed off is not this process's any more,
// whoever took it out of the accept queue.
func TestHandOffCloses(t *testing.T) {
	t.Parallel()
	u := newTest(t)
	u.serveTest(t, &http.Server{Handler: http.NotFoundHandler()})
	m, h := newPlayedNext(t, 10)
	u.conns.mover.Store(m)
	u.phase.draining.Store(true)
	defer u.phase.draining.Store(false)
	_, own := pair(t)
	_, server := pair(t)
	tracked := u.conns.track(server, nil, connHijacked)
	for _, c := range []net.Conn{own, tracked} {
		handed := make(chan error, 1)
		go func() { handed <- HandOff(c, "x", []byte("state")) }()
		if got := h.gets(); len(got) != 1 || got[0].Name != "x" || string(got[0].State) != "state" {
			t.Errorf("offered %+v", got)
		}
		h.says(wire.Taken, wire.TakenMsg{Room: 9})
		must(t, <-handed)
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write = %v", err)
		}
	}
	if !u.conns.empty(true) {
		t.Error("a connection is still in the table")
	}
}

type hiddenConn struct{ net.Conn }

// TestTransport: a listener of the program's that makes connections of its own kind has
// them stay.
func TestTransport(t *testing.T) {
	t.Parallel()
	u := newTest(t)
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
		nc, err := (*acceptor)(&server{u: u2, ln: l, moves: true}).Accept()
		must(t, err)
		if moves := nc.(*conn).side.Load() != nil; moves != (name == "plain") {
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
