//go:build unix

package core_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// dial opens a connection and sends one request on it.
func dial(t *testing.T, addr, path string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	ask(t, c, path)
	return c, bufio.NewReader(c)
}

func ask(t *testing.T, c net.Conn, path string) {
	t.Helper()
	_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app\r\n\r\n", path)
	must(t, err)
}

func answer(t *testing.T, r *bufio.Reader) *http.Response {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	return resp
}

// TestDrainAnswersAndCloses is rung 2: a kept connection that can't move stays with
// the old generation, is answered there once more, and is told to come back.
func TestDrainAnswersAndCloses(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-handoff=false")
	first := a.expect("ready", 0)
	c, r := dial(t, first.Addrs[0], "/")
	if resp := answer(t, r); resp.Close {
		t.Fatal("told to leave before the drain")
	}
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expectLog("msg=draining", 1)
	stays(t, c, r)
	ask(t, c, "/")
	resp := answer(t, r)
	if resp.Header.Get("X-Generation") != "0" || !resp.Close {
		t.Errorf("generation %s answered, close %v", resp.Header.Get("X-Generation"), resp.Close)
	}
	a.expect("end", 0)
	a.expectLog("ledger.closed_politely=1", 1)
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

// TestDrainTells is rung 4: streams and hijacked connections end by themselves.
func TestDrainTells(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	_, stream := dial(t, first.Addrs[0], "/stream")
	resp, err := http.ReadResponse(stream, nil)
	must(t, err)
	line := bufio.NewReader(resp.Body)
	if s, err := line.ReadString('\n'); s != "hello\n" {
		t.Fatalf("%q, %v", s, err)
	}
	_, hijacked := dial(t, first.Addrs[0], "/hijack")
	_, err = http.ReadResponse(hijacked, nil)
	must(t, err)
	a.signal(first.PID, syscall.SIGUSR2)
	if s, err := line.ReadString('\n'); s != "goodbye\n" {
		t.Errorf("the stream ended with %q, %v", s, err)
	}
	if s, err := hijacked.ReadString('\n'); s != "goodbye\n" {
		t.Errorf("the hijacked connection ended with %q, %v", s, err)
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
}

// TestDrainDeadline is rung 6: what is left is counted, the hook hears of it, and
// it is cut.
func TestDrainDeadline(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "300ms", "-handoff=false", "-linger")
	first := a.expect("ready", 0)
	for range 2 {
		dial(t, first.Addrs[0], "/?d=10m")
	}
	a.expect("handling", 1)
	_, hijacked := dial(t, first.Addrs[0], "/hijack?stay=1")
	_, err := http.ReadResponse(hijacked, nil)
	must(t, err)
	idle, r := dial(t, first.Addrs[0], "/")
	answer(t, r)
	a.signal(first.PID, syscall.SIGUSR2)
	want := core.Remaining{Requests: 2, Connections: 2, Hijacked: 1}.String()
	if ev := a.expect("draintimeout", 0); ev.Err != want {
		t.Errorf("the hook heard of %s, want %s", ev.Err, want)
	}
	a.expect("cancelled", 1)
	a.expect("lingers", 0)
	a.signal(first.PID, syscall.SIGTERM) // main returns
	end := a.expect("end", 0)
	if !strings.Contains(end.Err, want) {
		t.Errorf("the drain ended with %q, want one with %q", end.Err, want)
	}
	a.expectLog("cut_requests=2", 1)
	a.expectLog("closed_idle=1", 1)
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v", err)
	}
}

// TestStopClosesIdle: with no next generation an idle connection does not hold
// up a stop until the deadline, but one that asks is answered.
func TestStopClosesIdle(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "10m")
	first := a.expect("ready", 0)
	_, r := dial(t, first.Addrs[0], "/")
	answer(t, r)
	// Begun before the stop, out when idle ones have gone already.
	quiet, r2 := dial(t, first.Addrs[0], "/?hold=go")
	asks, r3 := dial(t, first.Addrs[0], "/?hold=go")
	a.expect("handling", 1)
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("msg=draining", 1)
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v", err)
	}
	ask(t, asks, "/") // which is there when the first answer is out, however busy this machine is
	must(t, os.WriteFile(filepath.Join(a.dir, "go"), nil, 0o644))
	answer(t, r2)
	stays(t, quiet, r2)
	answer(t, r3)
	if resp := answer(t, r3); !resp.Close {
		t.Error("answered without Connection: close")
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
}

// TestStuckOldProcessIsSeenOff: the old process is stopped in its drain and can't
// keep its own deadline; the new one ends it.
func TestStuckOldProcessIsSeenOff(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "500ms")
	first := a.expect("ready", 0)
	_, hijacked := dial(t, first.Addrs[0], "/hijack?stay=1&freeze=1") // by itself, when it is told to drain
	_, err := http.ReadResponse(hijacked, nil)
	must(t, err)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("the old process did not go by its deadline", 1)
	a.expectLog("the old process is gone", 1)
	a.AwaitExit()
	if st := a.cmd.ProcessState.String(); st != "signal: killed" {
		t.Errorf("the old process ended with %v", st)
	}
}
