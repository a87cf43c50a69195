//go:build unix

package core

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/load"
)

// TestListenersChange: across an upgrade a listener stays, one goes and one
// comes; the one that stays loses nothing.
func TestListenersChange(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,gone.sock", "-listen", "unix,stays.sock")
	first := a.expect("ready", 0)
	tcp := first.Addrs[0]
	stays := load.Start(load.Config{Network: "unix", Addr: filepath.Join(a.dir, "stays.sock"), Clients: 2, Fresh: 2})
	old := load.Start(load.Config{Addr: tcp, Clients: 2, Fresh: 2})
	listen(t, a, "unix,stays.sock unix,new.sock tcp,"+tcp+" tcp,127.0.0.1:0")
	if err := a.upgrade(tcp); err != nil {
		t.Fatal(err)
	}
	second := a.expect("ready", 1)
	a.expect("end", 0)
	for _, run := range []*load.Run{stays, old} {
		server := load.Server{PID: itoa(second.PID), Generation: "1"}
		for end := time.Now().Add(patience); run.Snapshot().Served[server] == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the new process serves nobody: %v", run.Stop())
			}
		}
		if res := run.Stop(); res.Failed != 0 {
			t.Errorf("%v", res)
		}
	}
	for _, path := range []string{"stays.sock", "new.sock"} {
		if _, err := get(filepath.Join(a.dir, path), "/"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, addr := range second.Addrs[2:] {
		if _, err := get(addr, "/"); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(a.dir, "gone.sock")); !os.IsNotExist(err) {
		t.Errorf("the path of a unix socket that is not used any more: %v", err)
	}
	a.expectLog("inherited listener not used any more", 1)

	// A stop removes the paths, and the ports are free.
	a.signal(second.PID, syscall.SIGTERM)
	a.expectGone()
	if left, _ := filepath.Glob(filepath.Join(a.dir, "*.sock")); left != nil {
		t.Errorf("a stop left %v", left)
	}
}

// TestPortChanges: the port is another one in the new version, and the old one
// is not held by anybody after the upgrade.
func TestPortChanges(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	before := a.expect("ready", 0).Addrs[0]
	listen(t, a, "tcp,127.0.0.2:0")
	if err := a.upgrade(before); err != nil {
		t.Fatal(err)
	}
	after := a.expect("ready", 1).Addrs[0]
	if _, err := get(after, "/"); err != nil {
		t.Error(err)
	}
	a.expect("end", 0)
	if c, err := net.Dial("tcp", before); err == nil {
		c.Close()
		t.Errorf("%s still accepts", before)
	}
}

// TestFailedUpgradeKeepsUnixSocket: a new version that fails must not take the
// path with it.
func TestFailedUpgradeKeepsUnixSocket(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "unix,app.sock", "-listen", "unix,other.sock")
	first := a.expect("ready", 0)
	path := filepath.Join(a.dir, "app.sock")
	for _, mode := range []string{"check", "crash"} {
		behave(mode)(t, a)
		listen(t, a, "unix,app.sock unix,fresh.sock")
		if err := a.upgrade(path); err == nil {
			t.Fatal("the upgrade worked")
		}
		for _, p := range []string{"app.sock", "other.sock"} {
			if _, err := get(filepath.Join(a.dir, p), "/"); err != nil {
				t.Errorf("%s after %s: %v", p, mode, err)
			}
		}
	}
	if _, err := os.Lstat(filepath.Join(a.dir, "fresh.sock")); !os.IsNotExist(err) {
		t.Errorf("the failed version left its own socket: %v", err)
	}
	a.signal(first.PID, syscall.SIGTERM)
	a.expectGone()
}

// TestStaleUnixSocket: what a killed process left does not keep the next one
// from starting.
func TestStaleUnixSocket(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "unix,app.sock")
	a.signal(a.expect("ready", 0).PID, syscall.SIGKILL)
	a.expectGone()
	path := filepath.Join(a.dir, "app.sock")
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	b := start(t, "app", "-listen", "unix,"+path)
	b.expect("ready", 0)
	if _, err := get(path, "/"); err != nil {
		t.Error(err)
	}
}

func TestBoundTo(t *testing.T) {
	t.Parallel()
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
	for _, tt := range []struct {
		network, address string   // as the old process opened it
		yes, no          []string // "network,address"; * is the port
	}{
		{"tcp", "127.0.0.1:0", []string{"tcp,127.0.0.1:*", "tcp4,127.0.0.1:*", "tcp,localhost:*"},
			[]string{"tcp,:*", "tcp,127.0.0.2:*", "tcp,127.0.0.1:1", "tcp,0.0.0.0:*", "unix,127.0.0.1:*", "tcp,127.0.0.1:0"}},
		{"tcp", ":0", []string{"tcp,:*", "tcp,0.0.0.0:*", "tcp,[::]:*"}, []string{"tcp4,:*", "tcp6,:*", "tcp,127.0.0.1:*"}},
		{"tcp4", ":0", []string{"tcp4,:*", "tcp4,0.0.0.0:*"}, []string{"tcp,:*", "tcp6,:*", "tcp4,127.0.0.1:*"}},
		{"tcp6", "[::]:0", []string{"tcp6,:*"}, []string{"tcp,:*", "tcp4,:*", "tcp6,[::1]:*"}},
	} {
		ln, err := net.Listen(tt.network, tt.address)
		if err != nil {
			t.Logf("%s %s: %v", tt.network, tt.address, err) // no IPv6 here
			continue
		}
		defer ln.Close()
		rc, err := ln.(syscall.Conn).SyscallConn()
		must(t, err)
		s, err := fd.Dup(rc)
		must(t, err)
		defer fd.Close(s)
		in := &inherited{Listener: wire.Listener{Network: tt.network, Address: tt.address}, ln: ln, s: s}
		for _, list := range [][]string{tt.yes, tt.no} {
			for _, s := range list {
				network, address, _ := strings.Cut(strings.ReplaceAll(s, "*", port(ln.Addr().String())), ",")
				want := slices.Contains(tt.yes, s)
				if got := in.fits(network, address) > 0; got != want {
					t.Errorf("%s %s fits(%s, %s) = %v", tt.network, ln.Addr(), network, address, got)
				}
			}
		}
	}
}

// TestClaimByFamily: of what a parent without words has passed, each family goes to who asked
// for it, whatever the order.
func TestClaimByFamily(t *testing.T) {
	t.Parallel()
	v4, err := net.Listen("tcp4", ":0")
	must(t, err)
	defer v4.Close()
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", fmt.Sprintf("[::]:%d", port))
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	defer v6.Close()
	h := &inheritance{}
	for i, ln := range []net.Listener{v6, v4} {
		rc, err := ln.(syscall.Conn).SyscallConn()
		must(t, err)
		s, err := fd.Dup(rc)
		must(t, err)
		defer fd.Close(s)
		h.unclaimed = append(h.unclaimed, &inherited{ln: ln, s: s, index: i})
	}
	for i, only := range []net.Listener{v6, v4} { // which is not for the other family
		h := &inheritance{unclaimed: []*inherited{h.unclaimed[i]}}
		address := map[net.Listener]string{v6: "0.0.0.0", v4: "[::]"}[only]
		if in := h.claim(wire.KindListener, "tcp", fmt.Sprintf("%s:%d", address, port)); in != nil {
			t.Errorf("%s gets %v", address, in.ln.Addr())
		}
	}
	for _, c := range []struct {
		address string
		want    net.Listener
	}{{"0.0.0.0", v4}, {"[::]", v6}, {"", nil}} {
		in := h.claim(wire.KindListener, "tcp", fmt.Sprintf("%s:%d", c.address, port))
		if got := in; c.want == nil != (got == nil) || got != nil && got.ln != c.want {
			t.Errorf("%q: %+v", c.address, got)
		}
	}
}
