//go:build unix

package conns

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

const patience = 60 * time.Second

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	client = must.Get(net.Dial("tcp", ln.Addr().String()))(t)
	server = must.Get(ln.Accept())(t)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func send(t *testing.T, c net.Conn) {
	t.Helper()
	must.Get(c.Write([]byte("x")))(t)
}

// process is one that ends when this is closed.
type process chan struct{}

func (process) PID() int               { return 1 << 30 }
func (process) Signal(os.Signal) error { return nil }
func (p process) Wait() (e spawn.Exit) { <-p; return e }

// playedNext is a new process that a test plays for a mover in this one.
type playedNext struct {
	t    *testing.T
	ctl  net.Conn
	in   *fd.Receiver
	next *peer.Next // what the mover sees
	process
}

// ends has the process end.
func (h *playedNext) ends() {
	close(h.process)
	<-h.next.Exited
}

// newPlayedNext makes a mover, started, and the other end of its handover socket.
func newPlayedNext(t *testing.T, room int) (*Mover, *playedNext) {
	t.Helper()
	ours, end, err := fd.Pair()
	must.Do(t, err)
	theirs := must.Get(fd.Conn(end))(t)
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	p := make(process)
	next := peer.Follow("app", p, ours, func(bool) {})
	must.Do(t, wire.Write(theirs, wire.Ready, wire.ReadyMsg{Room: room}))
	for range next.Start { // until ready is read
	}
	m := newTestMover(next)
	next.Interrupt() // the write deadline is as the commit of ten seconds ago has left it
	m.Start()
	t.Cleanup(m.stop)
	return m, &playedNext{t, theirs, fd.NewReceiver(theirs.(*net.UnixConn)), next, p}
}

// newTestMover makes the mover of a process that drains.
func newTestMover(to Taker) *Mover {
	table := NewTable(NewGoodbye())
	table.goodbye.Begin(0)
	m := NewMover(to, table, 1, true, time.Minute, slog.New(slog.DiscardHandler))
	table.MoveBy(m)
	return m
}

func (h *playedNext) says(ty wire.Type, msg any) {
	h.t.Helper()
	must.Do(h.t, wire.Write(h.ctl, ty, msg))
}

// gets reads an Offer, keeps no descriptor of it, and returns what it describes.
func (h *playedNext) gets() []wire.Conn {
	h.t.Helper()
	must.Do(h.t, h.in.SetReadDeadline(time.Now().Add(patience)))
	f := must.Get(wire.Read(h.in))(h.t)
	files := h.in.Take()
	for _, s := range files {
		must.Do(h.t, fd.Close(s))
	}
	msg, _, err := f.DecodeOffer()
	must.Do(h.t, err)
	if f.Type != wire.Offer || len(files) != len(msg.Conns) {
		h.t.Fatalf("%v with %d descriptors for %d connections", f.Type, len(files), len(msg.Conns))
	}
	return msg.Conns
}

// waiting is a connection in whose first Read, or the one after a request, a goroutine
// waits. What that returns is sent.
func (m *Mover) waiting(t *testing.T, used bool, srv *http.Server) (*Conn, net.Conn, chan error) {
	t.Helper()
	cl, nc := pair(t)
	c := m.table.Track(nc, &Origin{Network: "tcp", Address: "here"}, New)
	c.side.Store(&Side{HTTP: srv})
	c.SpareDeadlines()
	if used {
		c.boundary.http1.Store(true)
		c.SetState(Idle)
		must.Do(t, c.SetReadDeadline(NoDeadline))
	}
	c.idle.Add(-int64(time.Hour))
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, readBuffer))
		ended <- err
	}()
	return c, cl, ended
}

// awaitWait returns when a Read waits for the next request.
func (c *Conn) awaitWait() {
	for !c.boundary.waiting() {
		time.Sleep(time.Millisecond)
	}
}

// TestMover_HeedsTheAnswer: taken is an end of the stream for net/http, refused is nothing, and
// a connection that is woken after that is not closed. What is to be offered again is.
func TestMover_HeedsTheAnswer(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 10)
	_, _, taken := m.waiting(t, true, &http.Server{})
	hour := time.Hour.Milliseconds()
	if got := h.gets(); len(got) != 1 || got[0].Listener.Address != "here" || got[0].Unused || got[0].IdleMillis < hour {
		t.Errorf("offered %+v", got)
	}
	h.says(wire.Taken, wire.TakenMsg{Room: 0, Again: true, Refused: []wire.Refusal{{Conn: 0, Reason: "the process ends"}}})
	if got := h.gets(); len(got) != 1 {
		t.Errorf("offered again %+v", got)
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
	c.awaitWait()
	c.wake()
	c.awaitWait()
	select {
	case err := <-refused:
		t.Fatalf("Read = %v: net/http would close the connection", err)
	default:
	}
	send(t, cl)
	must.Do(t, <-refused)
	m.Settle()
	if c, _ := m.table.Account(); c.Moved.Total() != 1 || c.Refused != 1 {
		t.Errorf("counts %+v", c)
	}
	f := must.Get(wire.Read(h.in))(t)
	if f.Type != wire.Moved || string(f.Payload) != `{"moved":1}` {
		t.Errorf("%v %s", f.Type, f.Payload)
	}
}

// TestMover_LetsWhoHasJustAnsweredAnswerOnce: such a connection is not woken first. It moves at its next boundary, or, if
// no request comes, with the rest.
func TestMover_LetsWhoHasJustAnsweredAnswerOnce(t *testing.T) {
	t.Parallel()
	to := &silentTaker{}
	m := newTestMover(to)
	c, cl, ended := m.waiting(t, true, &http.Server{})
	c.awaitWait()
	c.idle.Store(m.table.now())
	round := newRound(m.choose(), m.rest)
	if len(round.recent) != 1 || m.welcomes(c) {
		t.Fatalf("%d have just answered, and it may move: %v", len(round.recent), m.welcomes(c))
	}
	round.recent, round.others = round.recent[:0], nil
	c.invite()
	if !c.boundary.waiting() || !m.welcomes(c) || m.everyone.Load() {
		t.Error("it was woken, or was not invited")
	}
	send(t, cl)
	must.Do(t, <-ended)
	round.turn()
	if round.left() != 1 || !m.everyone.Load() {
		t.Errorf("%d are woken in the end, want it", round.left())
	}
	m.Retire()
	m.Start()
}

// TestMover_PutsTheDeadlineBack: who was woken and refused waits as long as net/http would have waited.
func TestMover_PutsTheDeadlineBack(t *testing.T) {
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
			c.awaitWait()
			c.wake()
			if tt.ends {
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Read = %v", err)
				}
				return
			}
			c.awaitWait()
			send(t, cl)
			must.Do(t, <-ended)
		})
	}
}

// TestMover_ClosesWhatHasNoAnswer: at the end of a drain, what was offered and not answered is
// closed, because the new process may have it; what was not offered stays.
func TestMover_ClosesWhatHasNoAnswer(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 10)
	_, _, offered := m.waiting(t, true, &http.Server{})
	h.gets()
	second := make(chan error, 1)
	_, server := pair(t)
	go func() { second <- m.offer(server.(*net.TCPConn).SyscallConn, &offer{Conn: wire.Conn{Name: "x"}}) }()
	m.table.Close(nil)
	m.Settle() // as the end of a drain does: it waits for nobody
	if left := m.table.CutAll(true, nil); left != (Left{}) {
		t.Errorf("%+v is left", left)
	}
	if err := <-offered; !errors.Is(err, io.EOF) {
		t.Errorf("Read = %v", err)
	}
	if err := <-second; !errors.Is(err, peer.ErrQuit) {
		t.Errorf("offer = %v", err)
	}
	if c, _ := m.table.Account(); c.Moved.Total() != 0 || c.Cut != (Left{}) {
		t.Errorf("counts %+v", c)
	}
}

// TestMover_SaysNothingBeforeCommit: a drain that has nothing to wait for is over before the
// new process has been told that it is current. Its last word waits for that.
func TestMover_SaysNothingBeforeCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := &silentTaker{moved: make(chan uint64, 1)}
		m := newTestMover(to)
		go m.Settle()
		synctest.Wait()
		if to.interrupted.Load() || len(to.moved) > 0 {
			t.Error("something was said before the commit")
		}
		m.Start()
		<-to.moved
	})
}

// TestMover_OffersNothingAfterARollback: connections that wait to be offered stay in the process that serves again.
func TestMover_OffersNothingAfterARollback(t *testing.T) {
	t.Parallel()
	_, server := pair(t)
	for range 20 { // a select may take the right way
		synctest.Test(t, func(t *testing.T) {
			to := &silentTaker{}
			m := newTestMover(to)
			answers := make(chan error, 4)
			for range cap(answers) {
				go func() { answers <- m.Move(server.(*net.TCPConn), wire.Conn{Name: "x"}) }()
			}
			synctest.Wait()
			m.Retire()
			m.Start()
			for range cap(answers) {
				if err := <-answers; !errors.Is(err, errWentBack) {
					t.Errorf("Move = %v", err)
				}
			}
			<-m.done
		})
	}
}

// silentTaker takes connections, and is to be offered none.
type silentTaker struct {
	interrupted atomic.Bool
	moved       chan uint64
}

func (to *silentTaker) Exchange([]byte, []int, <-chan struct{}, func() bool) (wire.Frame, error) {
	return wire.Frame{}, errors.New("it was offered a connection")
}

func (to *silentTaker) Room() int             { return 10 }
func (to *silentTaker) Takes(string) bool     { return true }
func (to *silentTaker) Interrupt()            { to.interrupted.Store(true) }
func (to *silentTaker) SayMoved(moved uint64) { to.moved <- moved }

// TestMover_EndsAfterGarbage: after an answer that is none the connections are closed,
// and nothing is offered any more.
func TestMover_EndsAfterGarbage(t *testing.T) {
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

// TestMover_FillsFrames: a frame holds what it can, and everything arrives.
func TestMover_FillsFrames(t *testing.T) {
	t.Parallel()
	m, h := newPlayedNext(t, 1000)
	_, server := pair(t)
	const offers = 20
	var wg sync.WaitGroup
	for i := range offers {
		wg.Go(func() {
			what := wire.Conn{Name: strings.Repeat("\x00", text.MaxName), State: make([]byte, wire.MaxPayload/2-i)}
			if err := m.offer(server.(*net.TCPConn).SyscallConn, &offer{Conn: what}); err != nil {
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

// TestWake_OnlyWhoWaits: a connection that does anything else gets no deadline.
func TestWake_OnlyWhoWaits(t *testing.T) {
	t.Parallel()
	cl, server := pair(t)
	c := NewTable(nil).Track(server, nil, Active)
	c.wake()
	send(t, cl)
	if _, err := c.Conn.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
