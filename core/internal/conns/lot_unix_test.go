//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package conns

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// lotTable is a table with the server that its parked connections belong to.
type lotTable struct {
	*Table
	side *Side
	over chan struct{}
}

func newLotTable(t *testing.T, srv *http.Server) *lotTable {
	t.Helper()
	l := &lotTable{Table: NewTable(NewGoodbye()), over: make(chan struct{})}
	l.side = &Side{HTTP: srv, From: &Origin{Network: "tcp", Address: "here"}, Adopted: make(chan *Conn), Over: l.over}
	t.Cleanup(func() { l.CutAll(true, nil) })
	return l
}

// arrives adopts a connection, and returns the client's end and what begins to look after it.
func (l *lotTable) arrives(t *testing.T, what wire.Conn) (net.Conn, func(bool)) {
	t.Helper()
	client, server := pair(t)
	rc := must.Get(server.(*net.TCPConn).SyscallConn())(t)
	s := must.Get(fd.Dup(rc))(t)
	must.Do(t, server.Close())
	begin := l.Park(s, l.side, what, nil, nil)
	if begin == nil {
		must.Do(t, fd.Close(s))
		t.Fatal("it is not parked")
	}
	return client, begin
}

// parks adopts a connection that waits from then on.
func (l *lotTable) parks(t *testing.T, what wire.Conn) net.Conn {
	t.Helper()
	client, begin := l.arrives(t, what)
	begin(true)
	return client
}

// deaf has nobody wait for what arrives.
func (l *lotTable) deaf(t *testing.T) {
	t.Helper()
	po := must.Get(newPoller())(t)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lot.poller.close()
	l.lot.poller = po
}

// holds returns how many connections are in the lot, in any state.
func (l *lotTable) holds() int {
	_, parked := l.open()
	return len(parked)
}

// awaits returns when ok is true.
func awaits(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// expectReads checks that the server gets what the client has sent.
func expectReads(t *testing.T, c *Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Errorf("reads %q, %v, want %q", b, err, want)
	}
}

// expectEnd checks that the client's connection is closed.
func expectEnd(t *testing.T, c net.Conn) {
	t.Helper()
	must.Do(t, c.SetReadDeadline(time.Now().Add(patience)))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %v, want the end", err)
	}
}

// TestLot_ServesWhenARequestComes, and not before; what has come while the old process was answered counts.
func TestLot_ServesWhenARequestComes(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	late := l.parks(t, wire.Conn{Unused: true})
	early, begin := l.arrives(t, wire.Conn{})
	send(t, early)
	select {
	case <-l.side.Adopted:
		t.Fatal("it is served before the old process knows")
	default:
	}
	begin(true)
	c := <-l.side.Adopted
	expectReads(t, c, "x")
	if c.boundary.unused || !c.Is(Parked) || c.from != l.side.From || c.RemoteAddr().String() != early.LocalAddr().String() {
		t.Errorf("served is %+v", c)
	}
	if got := l.Left(); got.Connections != 2 || len(l.Quiet()) != 1 {
		t.Errorf("left %+v, %d quiet", got, len(l.Quiet()))
	}
	send(t, late)
	c2 := <-l.side.Adopted
	expectReads(t, c2, "x")
	if !c2.boundary.unused || !c2.CanMove() {
		t.Errorf("served is %+v", c2)
	}
	if n, _ := l.Account(); n.Adopted != 2 || n.Accepted != 0 {
		t.Errorf("counts %+v", n)
	}
	must.Do(t, c.Close())
	must.Do(t, c2.Close())
	if !l.Empty(true) {
		t.Error("some are left")
	}
}

// TestLot_ClosesWithoutAServer what no request can come from any more.
func TestLot_ClosesWithoutAServer(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(t *testing.T, l *lotTable) net.Conn{
		"the client has closed": func(t *testing.T, l *lotTable) net.Conn {
			c := l.parks(t, wire.Conn{})
			must.Do(t, c.Close())
			return nil
		},
		"the client has closed before": func(t *testing.T, l *lotTable) net.Conn {
			c, begin := l.arrives(t, wire.Conn{})
			must.Do(t, c.Close())
			begin(true)
			return nil
		},
		"the client has reset it": func(t *testing.T, l *lotTable) net.Conn {
			c := l.parks(t, wire.Conn{})
			must.Do(t, c.(*net.TCPConn).SetLinger(0))
			must.Do(t, c.Close())
			return nil
		},
		"the client has asked and reset it": func(t *testing.T, l *lotTable) net.Conn {
			c, begin := l.arrives(t, wire.Conn{})
			send(t, c)
			must.Do(t, c.(*net.TCPConn).SetLinger(0))
			must.Do(t, c.Close())
			awaits(t, "the kernel knows", func() (reset bool) {
				_, parked := l.open()
				for _, p := range parked {
					_, err := syscall.Getpeername(p.s)
					reset = reset || err != nil
				}
				return reset
			})
			begin(true)
			return nil
		},
		"the old process was not answered": func(t *testing.T, l *lotTable) net.Conn {
			c, begin := l.arrives(t, wire.Conn{})
			begin(false)
			return c
		},
		"it has been idle for too long": func(t *testing.T, l *lotTable) net.Conn {
			return l.parks(t, wire.Conn{IdleMillis: 2 * time.Hour.Milliseconds()})
		},
		"it has been unused for too long": func(t *testing.T, l *lotTable) net.Conn {
			return l.parks(t, wire.Conn{IdleMillis: 4 * time.Hour.Milliseconds(), Unused: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLotTable(t, &http.Server{IdleTimeout: time.Hour, ReadHeaderTimeout: 3 * time.Hour})
			l.parks(t, wire.Conn{IdleMillis: 2 * time.Hour.Milliseconds(), Unused: true}) // stays
			if c := ends(t, l); c != nil {
				expectEnd(t, c)
			}
			awaits(t, "it leaves the table", func() bool { return l.holds() == 1 })
			if n, _ := l.Account(); n.Adopted != 2 || n.ClosedIdle != 0 || len(l.All()) != 0 {
				t.Errorf("counts %+v", n)
			}
		})
	}
}

// TestLot_ServesWhatCameInTime although it has been idle for too long when that is found.
func TestLot_ServesWhatCameInTime(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{IdleTimeout: time.Hour})
	c, begin := l.arrives(t, wire.Conn{IdleMillis: 2 * time.Hour.Milliseconds()})
	send(t, c)
	l.deaf(t)
	begin(true)
	l.tend()
	expectReads(t, <-l.side.Adopted, "x")
}

// TestLot_HasNoClockWithoutALimit, and none that outlives its connections.
func TestLot_HasNoClockWithoutALimit(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	l.parks(t, wire.Conn{})
	if l.lot.clock != nil {
		t.Error("there is a clock")
	}
	l.side.HTTP = &http.Server{IdleTimeout: time.Hour}
	l.parks(t, wire.Conn{})
	if l.lot.clock == nil || l.lot.next > l.now()+int64(time.Hour) {
		t.Errorf("it goes at %v", time.Duration(l.lot.next-l.now()))
	}
	l.side.HTTP = &http.Server{IdleTimeout: math.MaxInt64}
	l.parks(t, wire.Conn{})
	for _, c := range l.Quiet() {
		if p := c.(*parked); p.ends() < l.lot.next {
			t.Errorf("one ends at %v", time.Duration(p.ends()))
		}
	}
	l.CutAll(true, nil)
	if l.lot.clock.Stop() {
		t.Error("the clock goes on")
	}
}

// TestLot_DismissesIdleOnes and no other.
func TestLot_DismissesIdleOnes(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	old := l.parks(t, wire.Conn{IdleMillis: time.Hour.Milliseconds()})
	young := l.parks(t, wire.Conn{})
	quiet := l.Quiet()
	if len(quiet) != 2 || quiet[0].idleSince() >= quiet[1].idleSince() || len(l.QuietFor(time.Minute)) != 1 {
		t.Fatalf("quiet %+v", quiet)
	}
	quiet[0].DismissIdle()
	quiet[0].DismissIdle() // once
	expectEnd(t, old)
	send(t, young)
	expectReads(t, <-l.side.Adopted, "x")
	quiet[1].DismissIdle()
	asks, begin := l.arrives(t, wire.Conn{})
	l.deaf(t)
	begin(true)
	send(t, asks)
	l.Quiet()[0].DismissIdle() // nobody knows yet that it is not idle
	if n, _ := l.Account(); n.ClosedIdle != 1 || l.holds() != 1 {
		t.Errorf("counts %+v, %d are held", n, l.holds())
	}
}

// TestLot_CutsAll in every state.
func TestLot_CutsAll(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	clients := []net.Conn{l.parks(t, wire.Conn{})}
	c, begin := l.arrives(t, wire.Conn{})
	clients = append(clients, c)
	clients = append(clients, l.parks(t, wire.Conn{}))
	held := l.Quiet()[0].(*parked)
	if !held.hold() {
		t.Fatal("it is not held")
	}
	if got := l.Left(); got.Connections != 3 || l.Empty(true) || l.CloseEmpty() {
		t.Errorf("left %+v", got)
	}
	if got := l.CutAll(true, nil); got.Connections != 3 || !l.Empty(true) {
		t.Errorf("cut %+v, and %d are held", got, l.holds())
	}
	begin(true)
	held.stays()
	for _, c := range clients {
		expectEnd(t, c)
	}
	if n, _ := l.Account(); n.Cut.Connections != 3 {
		t.Errorf("counts %+v", n)
	}
	l.Close(nil)
	if l.Park(0, l.side, wire.Conn{}, nil, nil) != nil {
		t.Error("it is parked")
	}
}

// TestLot_CutsWhatIsBeingOpened: no server gets it.
func TestLot_CutsWhatIsBeingOpened(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	opened, open := make(chan struct{}), l.netConn
	l.netConn = func(s int) (net.Conn, error) {
		close(opened)
		<-l.over
		nc, err := open(s)
		return asking{nc, l.Table}, err
	}
	c := l.parks(t, wire.Conn{})
	send(t, c)
	<-opened
	if got := l.CutAll(true, nil); got.Connections != 1 || !l.Empty(true) {
		t.Errorf("cut %+v", got)
	}
	close(l.over)
	expectEnd(t, c)
	if !l.Empty(true) {
		t.Error("it is back")
	}
}

// asking is a connection whose Close can take a while: the table must go on meanwhile.
type asking struct {
	net.Conn
	table *Table
}

func (a asking) Close() error {
	a.table.Count()
	return a.Conn.Close()
}

// TestLot_SecretsAreNotPrinted by any verb, whoever gets hold of what has them.
func TestLot_SecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	secret := []byte("do not tell")
	p := &parked{secret: secret}
	for _, x := range []any{p, &offer{secret: secret, parked: p}, []*parked{p}, []*offer{{secret: secret}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			text := fmt.Sprintf(verb, x)
			for _, form := range []string{"%s", "%x", "%d"} {
				if strings.Contains(text, strings.Trim(fmt.Sprintf(form, secret), "[]")) {
					t.Errorf("%s: %s", verb, text)
				}
			}
		}
	}
}

// TestPoller_TellsOnce of what has come, and nothing of a socket that was removed, although it is open elsewhere.
func TestPoller_TellsOnce(t *testing.T) {
	t.Parallel()
	po := must.Get(newPoller())(t)
	var clients []net.Conn
	var sockets []int
	for range 3 {
		client, server := pair(t)
		s := must.Get(fd.Dup(must.Get(server.(*net.TCPConn).SyscallConn())(t)))(t)
		defer fd.Close(s)
		clients, sockets = append(clients, client), append(sockets, s)
	}
	send(t, clients[0])
	for _, s := range sockets {
		must.Do(t, po.add(s))
	}
	expect := func(want int) {
		t.Helper()
		if got, err := po.wait(); err != nil || len(got) != 1 || got[0] != sockets[want] {
			t.Fatalf("wait = %v, %v, want %d of %v", got, err, want, sockets)
		}
	}
	expect(0) // that was there before
	po.remove(sockets[0])
	send(t, clients[0])
	send(t, clients[1])
	expect(1)
	must.Do(t, clients[2].Close())
	expect(2)
	po.close()
	if got, err := po.wait(); err == nil {
		t.Errorf("wait = %v after the end", got)
	}
}

// TestLot_EndsWithItsConnections: no goroutine and no descriptor is left, and there can be a next one.
func TestLot_EndsWithItsConnections(t *testing.T) {
	l := newLotTable(t, &http.Server{})
	before := runtime.NumGoroutine()
	for range 3 {
		for range 10 {
			l.parks(t, wire.Conn{})
		}
		if n := runtime.NumGoroutine(); n > before+1 {
			t.Errorf("%d goroutines more", n-before)
		}
		l.CutAll(true, nil)
		if l.lot.poller != nil {
			t.Error("the poller is left")
		}
		awaits(t, "its goroutine ends", func() bool { return runtime.NumGoroutine() <= before })
	}
}

// TestLot_TriesAgainWhatCannotBeOpened: a request that finds no free descriptor waits, and the log says so once.
func TestLot_TriesAgainWhatCannotBeOpened(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	var log strings.Builder
	l.LogTo(slog.New(slog.NewTextHandler(&log, nil)))
	var full atomic.Bool
	var tries atomic.Int32
	full.Store(true)
	open := l.netConn
	l.netConn = func(s int) (net.Conn, error) {
		tries.Add(1)
		if full.Load() {
			return nil, syscall.EMFILE
		}
		return open(s)
	}
	a, b, gone := l.parks(t, wire.Conn{}), l.parks(t, wire.Conn{}), l.parks(t, wire.Conn{})
	for _, c := range []net.Conn{a, b, gone} {
		send(t, c)
	}
	awaits(t, "all wait to be tried again", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n := 0
		for _, p := range l.lot.conns {
			if p.stuck && p.state == parkWaits {
				n++
			}
		}
		return n == 3
	})
	before := tries.Load()
	l.tend()
	if n := tries.Load() - before; n != 1 {
		t.Errorf("it was tried %d times, for nothing", n)
	}
	full.Store(false)
	for range 3 {
		expectReads(t, <-l.side.Adopted, "x")
	}
	if n := strings.Count(log.String(), "can't be opened"); n != 1 || !strings.Contains(log.String(), "too many open files") {
		t.Errorf("log: %s", log.String())
	}
}

// TestQuiet_LeavesOutWhatHasBegun, parked or not.
func TestQuiet_LeavesOutWhatHasBegun(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	_, server := pair(t)
	l.Track(server, nil, New).boundary.begin()
	_, begin := l.arrives(t, wire.Conn{})
	if n := len(l.Quiet()); n != 0 {
		t.Errorf("%d are quiet", n)
	}
	begin(true)
	if n := len(l.Quiet()); n != 1 {
		t.Errorf("%d are quiet", n)
	}
}

// TestLot_TellsConnectionsApart whose descriptors have the same number, one after the other.
func TestLot_TellsConnectionsApart(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	opened := make(chan int)
	l.netConn = func(s int) (net.Conn, error) {
		nc, err := fd.AdoptCopy(s)
		l.mu.Lock()
		opened <- s // and is about to leave the lot
		return nc, err
	}
	for range 100 {
		send(t, l.parks(t, wire.Conn{}))
		s := <-opened
		for range 10 {
			runtime.Gosched()
		}
		_, open := syscall.Getsockname(s)
		known := l.lot.conns[s] != nil
		l.mu.Unlock()
		if known && open != nil {
			t.Fatal("the lot knows a number that is another one's by now")
		}
		must.Do(t, (<-l.side.Adopted).Close())
	}
}

// TestLot_ClosesWhatNobodyServes: the server has ended.
func TestLot_ClosesWhatNobodyServes(t *testing.T) {
	t.Parallel()
	l := newLotTable(t, &http.Server{})
	c := l.parks(t, wire.Conn{})
	close(l.over)
	send(t, c)
	expectEnd(t, c)
	awaits(t, "it leaves the table", func() bool { return l.Empty(true) })
}
