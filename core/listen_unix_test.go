//go:build unix

package core_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
