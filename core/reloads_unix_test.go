//go:build unix

package core_test

import (
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// TestReloadsWhileDraining: start_server sends SIGTERM to every worker that is not the current one, at each reload.
// The one that comes to a worker which is making room already is no impatience: what it has accepted is answered.
func TestReloadsWhileDraining(t *testing.T) {
	t.Parallel()
	a, _, addrs := startPredecessor(t, "starter", 1)
	master := a.cmd.Process.Pid
	deploy(t, a, func(path string) { install(t, path) })
	a.signal(master, syscall.SIGHUP)
	first := a.expect("ready", 0)
	a.expect("signalled", 0)
	a.expectLeft(addrs)

	client := dialQuietly(t, addrs[0], first.PID)
	client.begin(t)
	for i := range 2 {
		a.signal(master, syscall.SIGHUP)
		a.expect("ready", i+1)
		a.expect("signalled", i+1)
	}
	time.Sleep(10 * timing.IdleTick) // for longer than it takes to cut
	client.finish(t, first.PID)
	client.c.Close()
	a.signal(master, syscall.SIGTERM)
	a.expectGone()
}

// TestActivatedParent: a grace program that systemd has given its sockets passes LISTEN_PID on as it was, which is the number of the first
// process of that program, and LISTEN_FDS as it is now. The sockets are for the one that it starts all the same.
func TestActivatedParent(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("who the parent is can't be told here")
	}
	for name, env := range map[string]string{
		"by the parent": "PREDECESSOR_ACTIVATED=1", // LISTEN_PID is its own number
		"before":        "LISTEN_PID=4194000",      // of one that is gone since
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, old, addrs := startPredecessor(t, "grace", 1, env)
			deploy(t, a, func(path string) { install(t, path) })
			a.signal(old.PID, syscall.SIGUSR2)
			var first event
			a.Until(func() bool {
				for _, ev := range a.all() {
					if ev.Event == "ready" || ev.Event == "end" {
						first = ev
					}
				}
				return first.Event != ""
			})
			if first.Event != "ready" || first.Gen != 1 || first.Addrs[0] != addrs[0] {
				t.Fatalf("%+v", first)
			}
			a.expectLeft(addrs)
		})
	}
}
