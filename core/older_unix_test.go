//go:build unix

package core_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// TestMaxDraining: a download holds up the oldest generation, and each one after it
// waits for the one before. Beyond the limit the oldest is cut.
func TestMaxDraining(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-maxdraining", "2", "-drain", "4m")
	addr := a.expect("ready", 0).Addrs[0]
	_, r := download(t, addr)
	for i := range 2 {
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		a.expect("ready", i+1)
	}
	third := a.expect("ready", 2)
	if line, err := r.ReadString('\n'); line != "more\n" || err != nil {
		t.Fatalf("the download of generation 0 with 2 that drain: %q, %v", line, err)
	}
	if n := len(a.alive()); n != 3 {
		t.Errorf("%d processes, want 3", n)
	}
	a.signal(third.PID, syscall.SIGUSR2)
	a.expect("ready", 3)
	for i := range 3 {
		end := a.expect("end", i)
		want := "" // they had nothing left but to see the one before off
		if end.Gen == 0 {
			want = core.ErrCut.Error() + ": too many generations drain with 1 request on 1 connection, 0 hijacked connections left"
		}
		if end.Err != want {
			t.Errorf("generation %d ended with %q, want %q", end.Gen, end.Err, want)
		}
	}
	_, _ = io.Copy(io.Discard, r) // it ends
}

// TestMaxDrainingAll: each generation too many is cut, not only the oldest at that time.
func TestMaxDrainingAll(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-maxdraining", "1", "-drain", "4m")
	a.setMode("slowhook") // which holds up the cut
	addr := a.expect("ready", 0).Addrs[0]
	for i := range 3 {
		download(t, addr)
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
	}
	a.expect("draintimeout", 1)
	a.setMode("")
	for i := range 2 {
		if end := a.expect("end", i); end.Gen > 1 || !strings.Contains(end.Err, "too many generations drain") {
			t.Errorf("%+v", end)
		}
	}
	if n := len(a.alive()); n != 2 {
		t.Errorf("%d processes, want 2", n)
	}
}

// TestDownloadThroughUpgrades: with room for its generation, a download goes on through
// ten upgrades.
func TestDownloadThroughUpgrades(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-maxdraining", "10", "-drain", "4m", "-probation", "20ms")
	addr := a.expect("ready", 0).Addrs[0]
	c, r := download(t, addr)
	for i := range 10 {
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
		if line, err := r.ReadString('\n'); line != "more\n" || err != nil {
			t.Fatalf("after %d upgrades: %q, %v", i+1, line, err)
		}
	}
	if n := len(a.alive()); n != 11 {
		t.Errorf("%d processes, want 11", n)
	}
	c.Close()
	for i := range 10 {
		a.expect("end", i)
	}
}

// download begins one that has no end: a line each few milliseconds.
func download(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	fmt.Fprint(c, "GET /download HTTP/1.0\r\n\r\n")
	r := bufio.NewReader(c)
	for line := ""; line != "more\n"; {
		line, err = r.ReadString('\n')
		must(t, err)
	}
	return c, r
}
