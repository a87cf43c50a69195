//go:build unix

package core_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
)

// expectNoPath checks that there is no such file.
func expectNoPath(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("%s: %v, want none", path, err)
	}
}

// TestUpgrade_ListenersChange: one stays and loses nothing, one goes and one comes.
func TestUpgrade_ListenersChange(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,gone.sock", "-listen", "unix,stays.sock",
		"-listen", "tcp,127.0.0.1:0")
	first := a.expect("ready", 0)
	tcp, gone := first.Addrs[0], first.Addrs[3]
	runs := []*load.Run{
		load.Start(load.Config{Network: "unix", Addr: a.path("stays.sock"), Clients: 2, Fresh: 2}),
		load.Start(load.Config{Addr: tcp, Clients: 2, Fresh: 2}),
	}
	listen(t, a, "unix,stays.sock unix,new.sock tcp,"+tcp+" tcp,127.0.0.2:0")
	must(t, a.upgrade(tcp))
	second := a.expect("ready", 1)
	a.expect("end", 0)
	awaitBy(t, second, runs...)
	for _, run := range runs {
		expectLossless(t, run)
	}
	expectAnswers(t, append(second.Addrs[2:], a.path("stays.sock"), a.path("new.sock"))...)
	expectNoPath(t, a.path("gone.sock"))
	if c, err := net.Dial("tcp", gone); err == nil {
		c.Close()
		t.Errorf("%s still accepts", gone)
	}
	a.expectLog("inherited listener not used any more", 2)

	// A stop removes the paths, and the ports are free.
	a.stopAll(second.PID)
	if left, _ := filepath.Glob(a.path("*.sock")); left != nil {
		t.Errorf("a stop left %v", left)
	}
}
