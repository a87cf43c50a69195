//go:build unix

package core_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// asked opens a connection and sends one request on it.
func asked(t *testing.T, addr, path string) *rawhttp.Client {
	t.Helper()
	c := rawhttp.Dial(t, addr)
	c.Ask(path)
	return c
}

// answered opens a connection on which a request has been answered.
func answered(t testing.TB, addr, path string) *rawhttp.Client {
	t.Helper()
	c := rawhttp.Dial(t, addr)
	c.Ask(path)
	c.Answer()
	return c
}

// dial is asked for a test that reads by itself.
func dial(t *testing.T, addr, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c := asked(t, addr, path)
	return c, c.Reader
}

// stays checks that the connection is not closed at once. Too short a look could
// only miss a fault, never invent one.
func stays(t *testing.T, c net.Conn, r *bufio.Reader) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	if _, err := r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the idle connection: %v", err)
	}
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
}

// expectClosed reads the end of an idle connection.
func expectClosed(t *testing.T, c *rawhttp.Client) {
	t.Helper()
	if _, err := c.Reader.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v", err)
	}
}

// TestDrain_ConnectionsEndByThemselves looks at rungs 2 and 4. A kept connection that can't move is answered once
// more by the old generation, and is told to come back. Streams and hijacked connections are told to leave.
func TestDrain_ConnectionsEndByThemselves(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-handoff=false")
	kept := asked(t, first.Addrs[0], "/")
	if kept.Answer().Close {
		t.Fatal("told to leave before the drain")
	}
	stream := asked(t, first.Addrs[0], "/stream")
	resp, err := http.ReadResponse(stream.Reader, nil)
	must(t, err)
	line := bufio.NewReader(resp.Body)
	expectLine(t, line, "hello\n")
	hijacked := answered(t, first.Addrs[0], "/hijack")
	a.next(first)
	expectLine(t, line, "goodbye\n")
	expectLine(t, hijacked.Reader, "goodbye\n")
	stream.Close()
	kept.Ask("/")
	if r := kept.Answer(); r.Header.Get("X-Generation") != "0" || !r.Close {
		t.Errorf("generation %s answered, close %v", r.Header.Get("X-Generation"), r.Close)
	}
	a.endsWell(0)
	a.expectLog("ledger.closed_politely=1", 1)
}

func expectLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); got != want {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

// TestDrain_CutsTheRestAtItsDeadline: this is rung 6. What is left is counted, and the hook hears of it.
func TestDrain_CutsTheRestAtItsDeadline(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "300ms", "-handoff=false", "-linger")
	addr := first.Addrs[0]
	for range 2 {
		asked(t, addr, "/?d=10m")
	}
	a.expect("handling", 1)
	answered(t, addr, "/hijack?stay=1")
	idle := answered(t, addr, "/")
	a.signal(first.PID, syscall.SIGUSR2)
	want := core.Remaining{Requests: 2, Connections: 2, Hijacked: 1}.String()
	if ev := a.expect("draintimeout", 0); ev.Err != want {
		t.Errorf("the hook heard of %s, want %s", ev.Err, want)
	}
	a.expect("cancelled", 1)
	a.expect("lingers", 0)
	a.signal(first.PID, syscall.SIGTERM) // main returns
	a.endsWell(0)                        // the service goes on
	a.expectLog("cut_requests=2", 1)
	a.expectLog("closed_idle=1", 1)
	expectClosed(t, idle)
}

// TestStop_IdleConnectionsDoNotHoldItUp: one that asks is answered, and an upgrade is refused.
func TestStop_IdleConnectionsDoNotHoldItUp(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "10m")
	addr := first.Addrs[0]
	idle := answered(t, addr, "/")
	// Begun before the stop, out when idle ones have gone already.
	quiet, asks := asked(t, addr, "/?hold=go"), asked(t, addr, "/?hold=go")
	a.expect("handling", 1)
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("msg=draining", 1)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("upgrade refused", 1)
	expectClosed(t, idle)
	asks.Ask("/") // which is there when the first answer is out, however busy this machine is
	a.write("go", "")
	quiet.Answer()
	stays(t, quiet, quiet.Reader)
	asks.Answer()
	if !asks.Answer().Close {
		t.Error("answered without Connection: close")
	}
	a.endsWell(0)
	a.expectGone()
}

// TestDrain_StuckOldProcessIsEnded: a stopped process can't keep its own deadline. The new one ends it.
func TestDrain_StuckOldProcessIsEnded(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "500ms")
	answered(t, first.Addrs[0], "/hijack?stay=1&freeze=1") // by itself, when it is told to drain
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("the old process did not go by its deadline", 1)
	a.expectLog("the old process is gone", 1)
	a.AwaitExit()
	if st := a.cmd.ProcessState.String(); st != "signal: killed" {
		t.Errorf("the old process ended with %v", st)
	}
}
