//go:build unix

package core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// offers sends an Offer with the server's ends of connections.
func (o *playedOld) offers(what []wire.Conn, conns ...net.Conn) {
	o.t.Helper()
	b, err := wire.Append(nil, wire.Offer, wire.OfferMsg{Conns: what})
	must(o.t, err)
	var files []int
	for _, c := range conns {
		rc, err := c.(syscall.Conn).SyscallConn()
		must(o.t, err)
		s, err := fd.Dup(rc)
		must(o.t, err)
		defer fd.Close(s)
		must(o.t, c.Close()) // as the old process does once they are taken
		files = append(files, s)
	}
	must(o.t, fd.Send(o.ctl.(*net.UnixConn), b, files))
}

func (o *playedOld) taken() (msg wire.TakenMsg) {
	o.t.Helper()
	f, err := wire.Read(o.ctl)
	must(o.t, err)
	if f.Type == wire.Settled { // it is asked to stop meanwhile
		f, err = wire.Read(o.ctl)
		must(o.t, err)
	}
	if f.Type != wire.Taken {
		o.t.Fatalf("the old process heard %v", f.Type)
	}
	must(o.t, f.Decode(&msg))
	return msg
}

// becomesCurrent takes an upgrade to where connections move.
func becomesCurrent(t *testing.T, u *Upgrader, o *playedOld) {
	t.Helper()
	ready := make(chan error, 1)
	go func() { ready <- u.Ready() }()
	o.hears(wire.Ready)
	o.says(wire.Commit, wire.CommitMsg{DrainMillis: 1000})
	must(t, <-ready)
	o.hears(wire.Confirmed)
}

// pair makes a connection and returns both ends of it.
func pair(t *testing.T) (c *rawhttp.Client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	c = rawhttp.Dial(t, ln.Addr().String())
	server, err = ln.Accept()
	must(t, err)
	return c, server
}

// TestAdoptGoesOnCountingIdleTime: what was idle for too long is closed, unless a request
// came in time, and what was not is served.
func TestAdoptGoesOnCountingIdleTime(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	u.AttachTest(t, &http.Server{
		Handler:     http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") }),
		IdleTimeout: time.Hour, ReadHeaderTimeout: 3 * time.Hour,
	})
	becomesCurrent(t, u, o)
	at := &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}
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
		c, server := pair(t)
		if tt.early {
			c.Ask("/")
		}
		tt.conn.Listener = at
		o.offers([]wire.Conn{tt.conn}, server)
		if msg := o.taken(); len(msg.Refused) != 0 {
			t.Errorf("%s: refused: %+v", name, msg)
		}
		if !tt.served {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if !tt.early {
			c.Ask("/")
		}
		if resp := c.Answer(); string(resp.Body) != "served" {
			t.Errorf("%s: %q", name, resp.Body)
		}
	}
}

// TestAdoptedHasNoOldDeadline: net/http sets none where the server has no timeout for a
// request, so that of the wait has to go.
func TestAdoptedHasNoOldDeadline(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	u.AttachTest(t, &http.Server{Handler: http.NotFoundHandler(), IdleTimeout: time.Hour})
	becomesCurrent(t, u, o)
	c, server := pair(t)
	c.Ask("/") // in time, and the wait is over when it is found
	at := &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}
	o.offers([]wire.Conn{{Listener: at, IdleMillis: 2 * time.Hour.Milliseconds()}}, server)
	o.taken()
	c.Answer()
}

// TestAdoptAfterReset: a client that has reset its connection is not served, whatever it
// asked before; the program need not expect a connection without an address.
func TestAdoptAfterReset(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	asksForIt := func(ctx context.Context, c net.Conn) context.Context {
		t.Errorf("ConnContext gets a connection from %s", c.RemoteAddr().String())
		return ctx
	}
	u.AttachTest(t, &http.Server{Handler: http.NotFoundHandler(), ConnContext: asksForIt})
	adopted := make(chan net.Conn, 1)
	OnHandoff("reset", func(c net.Conn, _ []byte) { adopted <- c })
	becomesCurrent(t, u, o)
	names := []wire.Conn{{Listener: &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}}, {Name: "reset"}}
	var conns []net.Conn
	for range names {
		c, server := pair(t)
		c.Ask("/")
		must(t, c.Conn.(*net.TCPConn).SetLinger(0))
		must(t, c.Close())
		rc, err := server.(syscall.Conn).SyscallConn()
		must(t, err)
		must(t, rc.Control(awaitReset))
		conns = append(conns, server)
	}
	o.offers(names, conns...)
	if msg := o.taken(); len(msg.Refused) != 0 || u.Status().Ledger.Adopted != 2 {
		t.Errorf("%+v, adopted %d: the counts must agree with the old process's", msg, u.Status().Ledger.Adopted)
	}
	c := <-adopted
	defer c.Close()
	if addr := c.RemoteAddr().String(); addr != ":0" {
		t.Errorf("from %s", addr)
	}
	for end := time.Now().Add(patience); u.remaining().Connections != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is held: %v", u.remaining())
		}
	}
}

// awaitReset returns when the kernel knows that the connection is no more.
func awaitReset(s uintptr) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := syscall.Getpeername(int(s)); err != nil {
			return
		}
	}
}

// TestAdoptRefuses: what this process can't serve stays with the old one, with the
// reason, and the rest of the batch is taken.
func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	u.AttachTest(t, &http.Server{Handler: http.NotFoundHandler()})
	certFile, keyFile, _ := rawhttp.Certificate(t)
	ln, err := u.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	must(t, err)
	must(t, u.AttachTLS(&http.Server{Handler: http.NotFoundHandler()}, ln, certFile, keyFile))
	becomesCurrent(t, u, o)
	names := []wire.Conn{
		{Listener: &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}},
		{Listener: &wire.Listener{Network: "tcp", Address: "127.0.0.1:1"}},
		{Listener: &wire.Listener{Network: "tcp4", Address: "127.0.0.1:0"}}, // speaks TLS
		{Name: "nobody"},
		{},
		{Listener: &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}}, // its descriptor did not arrive
	}
	var conns []net.Conn
	var clients []*rawhttp.Client
	for range len(names) - 1 {
		c, server := pair(t)
		clients, conns = append(clients, c), append(conns, server)
	}
	before := u.room.Load()
	o.offers(names, conns...)
	msg := o.taken()
	for i, want := range []string{"no plaintext server", "no plaintext server", "no OnHandoff", "no plaintext server", "no descriptors left"} {
		if i >= len(msg.Refused) || msg.Refused[i].Conn != i+1 || !strings.Contains(msg.Refused[i].Reason, want) {
			t.Errorf("refused %+v, want %q for number %d", msg.Refused, want, i+1)
		}
	}
	if msg.Room != int(before)-1 || u.Status().Ledger.Adopted != 1 {
		t.Errorf("room for %d after %d, ledger %+v", msg.Room, before, u.Status().Ledger)
	}
	clients[0].Ask("/")
	clients[0].Answer()
	for _, c := range clients[1:] {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("a refused connection is held: %v", err)
		}
	}

	c, server := pair(t)
	o.offers(nil, server) // a descriptor that nobody speaks of
	if msg := o.taken(); len(msg.Refused) != 0 {
		t.Errorf("%+v", msg)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it is held: %v", err)
	}

	go func() { _ = u.Stop(t.Context()) }()
	<-u.Draining()
	_, server = pair(t)
	o.offers(names[:1], server)
	if msg := o.taken(); len(msg.Refused) != 1 || !strings.Contains(msg.Refused[0].Reason, "stopping") {
		t.Errorf("while stopping: %+v", msg)
	}
}

// TestAccepts: a connection's local address says which listener it came from.
func TestAccepts(t *testing.T) {
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
		{tcp("127.0.0.1:80"), tcp("127.0.0.1:80"), 2},
		{tcp("[::]:80"), tcp("127.0.0.1:80"), 1},
		{tcp("0.0.0.0:80"), tcp("127.0.0.1:80"), 1},
		{tcp("127.0.0.1:80"), tcp("127.0.0.2:80"), 0},
		{tcp("[::]:80"), tcp("127.0.0.1:81"), 0},
		{unix("a.sock"), unix("./a.sock"), 2},
		{unix("a.sock"), unix("b.sock"), 0},
		{unix("a.sock"), tcp("127.0.0.1:80"), 0},
		{tcp("[::]:80"), nil, 0},
	} {
		if got := accepts(tt.listener, tt.local); got != tt.want {
			t.Errorf("accepts(%v, %v) = %d, want %d", tt.listener, tt.local, got, tt.want)
		}
	}
}

// TestOfferThatCannotBeRead has no answer: the old process must not think that its
// connections were taken.
func TestOfferThatCannotBeRead(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	u.AttachTest(t, &http.Server{Handler: http.NotFoundHandler()})
	becomesCurrent(t, u, o)
	b, err := wire.Append(nil, wire.Offer, "not an offer")
	must(t, err)
	c, server := pair(t)
	rc, err := server.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, rc.Control(func(s uintptr) { must(t, fd.Send(o.ctl.(*net.UnixConn), b, []int{int(s)})) }))
	if _, err := wire.Read(o.ctl); !errors.Is(err, io.EOF) {
		t.Errorf("the old process heard %v", err)
	}
	must(t, server.Close())
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is held: %v", err)
	}
}

// TestOnHandoff is called once the process is current, and a panic of it ends its
// connection alone.
func TestOnHandoff(t *testing.T) {
	t.Parallel()
	u, o := newChild(t)
	called := make(chan State, 1)
	OnHandoff("panics", func(_ net.Conn, state []byte) {
		called <- u.State()
		panic(string(state))
	})
	defer OnHandoff("panics", nil)
	ready := make(chan error, 1)
	go func() { ready <- u.Ready() }()
	o.hears(wire.Ready)
	c, server := pair(t)
	o.offers([]wire.Conn{{Name: "panics", State: []byte("at once")}}, server)
	o.taken()
	o.says(wire.Commit, wire.CommitMsg{})
	must(t, <-ready)
	if st := <-called; st != StateCurrent {
		t.Errorf("called while %v", st)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is held: %v", err)
	}
}

// TestNothingIsAdoptedAfterTheDrain: nobody would look after it.
func TestNothingIsAdoptedAfterTheDrain(t *testing.T) {
	t.Parallel()
	table := conns.NewTable(nil)
	table.Close(nil)
	if c := table.Adopt(nil, nil, wire.Conn{}); c != nil {
		t.Error("adopted")
	}
}

// TestMismatchIsLogged: when the two processes count differently somebody must know.
func TestMismatchIsLogged(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	u, o := newChild(t, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	u.AttachTest(t, &http.Server{Handler: http.NotFoundHandler()})
	becomesCurrent(t, u, o)
	o.says(wire.Moved, wire.MovedMsg{Moved: 3})
	must(t, o.ctl.Close())
	<-u.inherited.old.Gone
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "moved=3 adopted=0") {
		t.Error(log.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestAdoptInPreStopDelay: a process that still accepts takes connections over, too.
func TestAdoptInPreStopDelay(t *testing.T) {
	t.Parallel()
	u, o := newChild(t, WithPreStopDelay(time.Hour))
	u.AttachTest(t, &http.Server{Handler: http.NotFoundHandler()})
	becomesCurrent(t, u, o)
	u.requestStop(stopRequest{})
	for end := time.Now().Add(patience); u.State() != StateStopping; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(u.State())
		}
	}
	c, server := pair(t)
	o.offers([]wire.Conn{{Listener: &wire.Listener{Network: "tcp", Address: "127.0.0.1:0"}}}, server)
	if msg := o.taken(); len(msg.Refused) != 0 {
		t.Errorf("%+v", msg)
	}
	c.Ask("/")
	c.Answer()
}
