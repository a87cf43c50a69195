//go:build unix

package core_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestFewFiles: an upgrade that this process has too few descriptors for is refused
// before anything is tried, and serves on.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("free descriptors are counted in /dev/fd, which not every system fills")
	}
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 4})
	must(t, a.call(addr, "/limit?free=9"))
	err := a.upgrade(addr)
	if err == nil || !strings.Contains(err.Error(), "descriptors are free, and it takes 11; raise LimitNOFILE=") {
		t.Errorf("upgrade = %v", err)
	}
	must(t, a.call(addr, "/limit"))
	must(t, a.upgrade(addr))
	if res := run.Stop(); res.Failed != 0 || res.Requests == 0 {
		t.Error(res)
	}
}

// TestTightLimits: with 1,024 descriptors, most of them taken by connections, and hardly
// any memory an upgrade works and loses nothing.
func TestTightLimits(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.env = []string{"GOMEMLIMIT=24MiB"}
	must(t, writeProgram(filepath.Join(a.dir, "limited"), "#!/bin/sh\nulimit -n 1024\nexec ./app \"$@\"\n"))
	a.start("app", "./limited", "-probation", "200ms")
	first := a.expect("ready", 0)
	idle := make([]*rawhttp.Client, 800)
	for i := range idle {
		idle[i] = rawhttp.Dial(t, first.Addrs[0])
		idle[i].Ask("/")
		idle[i].Answer()
	}
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 32, Fresh: 4})
	for i := range 3 {
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		a.expect("ready", i+1)
		a.expectLog("msg=upgraded", i+1)
		a.expect("end", i)
	}
	for _, c := range idle {
		c.Ask("/")
		if got := c.Answer().Header.Get("X-Generation"); got != "3" {
			t.Fatalf("generation %s answers", got)
		}
	}
	if res := run.Stop(); res.Failed != 0 || res.Connects-res.Reconnects < 32 {
		t.Error(res)
	}
	if strings.Contains(a.log(), "level=ERROR") || strings.Contains(a.log(), "too many open files") {
		t.Error("the log has complaints")
	}
}
