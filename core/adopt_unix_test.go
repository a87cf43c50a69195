//go:build unix

package core

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// atListener is the listener of AttachTest in the words of an offer.
var atListener = &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}

// TestAdopt_GoesOnCountingIdleTime closes what was idle for too long, unless a request came in time.
func TestAdopt_GoesOnCountingIdleTime(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") }),
		IdleTimeout: time.Hour, ReadHeaderTimeout: 3 * time.Hour,
	})
	const hour = int64(time.Hour / time.Millisecond)
	for name, tt := range map[string]struct {
		conn   wire.Conn
		early  bool // the request is there before the connection
		served bool
	}{
		"idle for a while":              {conn: wire.Conn{IdleMillis: hour / 2}, served: true},
		"idle for too long":             {conn: wire.Conn{IdleMillis: 2 * hour}},
		"idle for too long, then asked": {conn: wire.Conn{IdleMillis: 2 * hour}, early: true, served: true},
		"unused for a while":            {conn: wire.Conn{IdleMillis: 2 * hour, Unused: true}, served: true},
		"unused for too long":           {conn: wire.Conn{IdleMillis: 4 * hour, Unused: true}},
	} {
		c, server := pairAt(t, u, "")
		if tt.early {
			c.Ask("/")
		}
		tt.conn.Listener = atListener
		o.moves(tt.conn, server)
		if !tt.served {
			expectEnd(t, c, name)
			continue
		}
		if !tt.early {
			c.Ask("/")
		}
		expectEqual(t, name, string(c.Answer().Body), "served")
	}
}

// TestAdopt_LiftsTheDeadlineOfTheWait: net/http sets none where the server has no timeout for a request.
func TestAdopt_LiftsTheDeadlineOfTheWait(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, &http.Server{Handler: http.NotFoundHandler(), IdleTimeout: time.Hour})
	c, server := pairAt(t, u, "")
	c.Ask("/") // in time, and the wait is over when it is found
	o.moves(wire.Conn{Listener: atListener, IdleMillis: 2 * time.Hour.Milliseconds()}, server)
	c.Answer()
}

// TestAdopt_ResetConnectionIsNotServed whatever the client asked before; the program need not expect a
// connection without an address.
func TestAdopt_ResetConnectionIsNotServed(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, &http.Server{
		Handler: http.NotFoundHandler(),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			t.Errorf("ConnContext gets a connection from %s", c.RemoteAddr().String())
			return ctx
		},
	})
	adopted := make(chan net.Conn, 1)
	OnHandoff("reset", func(c net.Conn, _ []byte) { adopted <- c })
	names := []wire.Conn{{Listener: atListener}, {Name: "reset"}}
	var conns []net.Conn
	for range names {
		c, server := pairAt(t, u, "")
		c.Ask("/")
		must(t, c.Conn.(*net.TCPConn).SetLinger(0))
		must(t, c.Close())
		rc, err := server.(syscall.Conn).SyscallConn()
		must(t, err)
		proctest.Await(t, "the kernel knows that the connection is no more", func() (reset bool) {
			must(t, rc.Control(func(s uintptr) {
				_, err := syscall.Getpeername(int(s))
				reset = err != nil
			}))
			return reset
		})
		conns = append(conns, server)
	}
	expectEqual(t, "refused", len(o.offers(names, conns...).Refused), 0)
	expectEqual(t, "adopted, as the old process counts", u.Status().Ledger.Adopted, 2)
	c := <-adopted
	defer c.Close()
	expectEqual(t, "its address", c.RemoteAddr().String(), ":0")
	proctest.Await(t, "none is held", func() bool { return u.remaining().Connections == 0 })
}

// TestAdopt_RefusalLeavesTheRest: what this process can't serve stays with the old one, with the reason, and
// the rest of the batch is taken.
func TestAdopt_RefusalLeavesTheRest(t *testing.T) {
	t.Parallel()
	u, o := playOld(t)
	u.AttachTest(t, notFound())
	certFile, keyFile, _ := rawhttp.Certificate(t)
	ln, err := u.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	must(t, err)
	must(t, u.AttachTLS(notFound(), ln, certFile, keyFile))
	o.handsOver(u, wire.CommitMsg{DrainMillis: 1000})
	o.hears(wire.Confirmed)
	offer := []wire.Conn{
		{Listener: atListener},
		{Listener: &wire.Listener{Network: "tcp", Address: "127.0.0.1:1"}},
		{Listener: &wire.Listener{Network: "tcp4", Address: "127.0.0.1:0"}}, // it speaks TLS
		{Name: "nobody"},
		{},
		{Listener: atListener}, // its descriptor did not arrive
	}
	const none = "no plaintext server"
	reasons := []string{none, none, "no OnHandoff", none, "no descriptors left"}
	var conns []net.Conn
	var clients []*rawhttp.Client
	for i := range len(offer) - 1 {
		var c *rawhttp.Client
		var server net.Conn
		switch i {
		case 1:
			c, server = pair(t)
		case 2:
			c, server = pairAt(t, u, ln.Addr().String())
		default:
			c, server = pairAt(t, u, "")
		}
		clients, conns = append(clients, c), append(conns, server)
	}
	before := u.room.Load()
	msg := o.offers(offer, conns...)
	for i, want := range reasons {
		if i >= len(msg.Refused) || msg.Refused[i].Conn != i+1 || !strings.Contains(msg.Refused[i].Reason, want) {
			t.Errorf("refused %+v, want %q for number %d", msg.Refused, want, i+1)
		}
	}
	expectEqual(t, "room for", msg.Room, int(before)-1)
	expectEqual(t, "adopted", u.Status().Ledger.Adopted, 1)
	clients[0].Ask("/")
	clients[0].Answer()
	for _, c := range clients[1:] {
		expectEnd(t, c, "a refused connection")
	}

	c, server := pair(t)
	expectEqual(t, "refused of none", len(o.offers(nil, server).Refused), 0)
	expectEnd(t, c, "a descriptor that nobody speaks of")

	go func() { _ = u.Stop(t.Context()) }()
	<-u.Draining()
	o.hears(wire.Settled)
	o.hears(wire.Stops)
	_, server = pair(t)
	expectText(t, fmt.Sprint(o.offers(offer[:1], server).Refused), "stopping")
}

func TestAccepts_LocalAddressNamesTheListener(t *testing.T) {
	t.Parallel()
	tcp := func(s string) net.Addr {
		a, err := net.ResolveTCPAddr("tcp", s)
		must(t, err)
		return a
	}
	unix := func(s string) net.Addr { return &net.UnixAddr{Net: "unix", Name: s} }
	for _, tt := range []struct {
		listener, local net.Addr
		want            int
	}{
		{tcp("127.0.0.1:80"), tcp("127.0.0.1:80"), 3},
		{tcp("[::]:80"), tcp("127.0.0.1:80"), 1},
		{tcp("[::]:80"), tcp("[::1]:80"), 2},
		{tcp("0.0.0.0:80"), tcp("127.0.0.1:80"), 2},
		{tcp("0.0.0.0:80"), tcp("[::1]:80"), 0},
		{tcp("127.0.0.1:80"), tcp("127.0.0.2:80"), 0},
		{tcp("[::]:80"), tcp("127.0.0.1:81"), 0},
		{unix("a.sock"), unix("./a.sock"), 3},
		{unix("a.sock"), unix("b.sock"), 0},
		{unix("a.sock"), tcp("127.0.0.1:80"), 0},
		{tcp("[::]:80"), nil, 0},
	} {
		expectEqual(t, fmt.Sprintf("accepts(%v, %v)", tt.listener, tt.local), accepts(tt.listener, tt.local), tt.want)
	}
}

// TestAdopt_UnreadableOfferHasNoAnswer: the old process must not think that its connections were taken.
func TestAdopt_UnreadableOfferHasNoAnswer(t *testing.T) {
	t.Parallel()
	_, o := playCurrent(t, notFound())
	c, server := pair(t)
	o.sends("not an offer", server)
	_, err := wire.Read(o.ctl)
	expectError(t, err, io.EOF)
	expectEnd(t, c, "its connection")
}

// TestOnHandoff_WaitsForTheCommit: it is called once the process is current, and a panic of it ends its
// connection alone.
func TestOnHandoff_WaitsForTheCommit(t *testing.T) {
	t.Parallel()
	u, o := playOld(t)
	called := make(chan State, 1)
	OnHandoff("panics", func(_ net.Conn, state []byte) {
		called <- u.State()
		panic(string(state))
	})
	defer OnHandoff("panics", nil)
	ready := o.hearsReady(u)
	c, server := pair(t)
	o.moves(wire.Conn{Name: "panics", State: []byte("at once")}, server)
	o.says(wire.Commit, wire.CommitMsg{})
	must(t, <-ready)
	expectEqual(t, "called while", <-called, StateCurrent)
	expectEnd(t, c, "the connection")
}

// TestAdopt_NothingAfterTheDrain: nobody would look after it.
func TestAdopt_NothingAfterTheDrain(t *testing.T) {
	t.Parallel()
	table := conns.NewTable(nil)
	table.Close(nil)
	if c := table.Adopt(nil, nil, wire.Conn{}, nil); c != nil {
		t.Error("adopted")
	}
}

// TestMoved_OtherCountIsAnErrorInTheLog when the two processes do not agree.
func TestMoved_OtherCountIsAnErrorInTheLog(t *testing.T) {
	t.Parallel()
	var log procgroup.Output
	u, o := playCurrent(t, notFound(), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	o.says(wire.Moved, wire.MovedMsg{Moved: 3})
	must(t, o.ctl.Close())
	<-u.inherited.old.Gone
	expectText(t, log.String(), "level=ERROR", "moved=3 adopted=0")
}

// TestAdopt_GoesOnInThePreStopDelay: a process that still accepts takes connections over, too.
func TestAdopt_GoesOnInThePreStopDelay(t *testing.T) {
	t.Parallel()
	u, o := playCurrent(t, notFound(), WithPreStopDelay(time.Hour))
	u.requestStop(stopRequest{})
	proctest.Await(t, "the stop has begun", func() bool { return u.State() == StateStopping })
	c, server := pairAt(t, u, "")
	o.moves(wire.Conn{Listener: atListener}, server)
	c.Ask("/")
	c.Answer()
}

// TestAdopt_ConnContextIsCalledOneAtATime, as by net/http, which has one accept loop for a listener. There are
// two here: for new connections, and for those of the old process.
func TestAdopt_ConnContextIsCalledOneAtATime(t *testing.T) {
	t.Parallel()
	for _, callback := range []string{"ConnContext", "ConnState"} {
		t.Run(callback, func(t *testing.T) {
			entered, leave := make(chan struct{}, 2), make(chan struct{})
			enter := func() { entered <- struct{}{}; <-leave }
			srv := notFound()
			if callback == "ConnContext" {
				srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { enter(); return ctx }
			} else {
				srv.ConnState = func(_ net.Conn, st http.ConnState) {
					if st == http.StateNew {
						enter()
					}
				}
			}
			u, o := playCurrent(t, srv)
			adopted, server := pairAt(t, u, "")
			o.moves(wire.Conn{Listener: atListener}, server)
			adopted.Ask("/")
			<-entered
			accepted := rawhttp.Dial(t, u.servers.all()[0].ln.Addr().String())
			accepted.Ask("/")
			proctest.Await(t, "it is accepted", func() bool { return u.Status().Ledger.Accepted == 1 })
			select {
			case <-entered:
				t.Error("a second connection while the first one's callback runs")
			case <-time.After(30 * time.Millisecond): // too short a wait could only hide a fault
			}
			close(leave)
			adopted.Answer()
			accepted.Answer()
		})
	}
}
