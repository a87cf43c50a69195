//go:build unix

package core_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// TestParent_ThatStaysIsKilledAtItsDeadline has gracehttp's old process, which goes by itself, but only when the
// last client has let go of its connection. It goes on answering those, which holds up no upgrade.
func TestParent_ThatStaysIsKilledAtItsDeadline(t *testing.T) {
	t.Parallel()
	a, old, addrs := startPredecessor(t, "gracehttp", 1, "PREDECESSOR_STAYS=1")
	a.write("drain", "500ms")
	b := &blame{keep: 4, predecessor: itoa(old.PID), last: make(map[int]string)}
	run := load.Start(load.Config{
		Addr: addrs[0], Clients: b.keep, Fresh: 4, Think: 20 * time.Millisecond, Observe: b.observe,
	})
	awaitServed(t, run, load.Server{PID: itoa(old.PID), Generation: "0"})
	stays := dialQuietly(t, addrs[0], old.PID)

	deploy(t, a, func(path string) { install(t, path) })
	a.signal(old.PID, syscall.SIGUSR2)
	first := a.expect("ready", 0)
	stays.ask(t, old.PID)
	a.expectLog("the old process did not go by its deadline", 1) // SIGTERM, of which it makes nothing
	stays.ask(t, old.PID)
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	awaitServed(t, run, load.Server{PID: itoa(second.PID), Generation: "2"})

	// The first generation is there until the one before it is gone.
	if end := a.endsWell(0); end.PID != first.PID {
		t.Errorf("process %d ended, want %d", end.PID, first.PID)
	}
	a.expectLog("the old process did not go by its deadline", 2)
	a.AwaitExit()
	if st, _ := a.cmd.ProcessState.Sys().(syscall.WaitStatus); st.Signal() != syscall.SIGKILL {
		t.Errorf("the parent ended with %v", a.cmd.ProcessState)
	}
	judge(t, []*load.Run{run}, []*blame{b})
	a.signal(second.PID, syscall.SIGTERM)
	a.expectGone()
}

// TestParent_DatagramsOfTableflipAreNotLost claims the sockets by the parent's words for them, though the port in
// those is 0. Both processes read until the old one is gone.
func TestParent_DatagramsOfTableflipAreNotLost(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	placeAlone(t, "predecessor", a.path("app"))
	a.env = []string{"PREDECESSOR=tableflip"}
	a.start("app", "./app", "-listen", "tcp,127.0.0.1:0", "-packet", "udp,127.0.0.1:0", "-packet", "udp,localhost:0")
	old := a.expect("predecessor", 0)
	a.write("listen", "tcp,"+old.Addrs[0])
	var streams []*packetStream
	for _, addr := range old.Addrs[1:] {
		s := startStream(t, dialPacket(t, a, "udp", addr), 5)
		s.await(t, old.PID)
		streams = append(streams, s)
	}

	deploy(t, a, func(path string) { install(t, path) })
	a.signal(old.PID, syscall.SIGHUP)
	last := a.expect("ready", 0)
	if !slices.Equal(last.Addrs, old.Addrs) {
		t.Errorf("on %v, want %v", last.Addrs, old.Addrs)
	}
	a.expect("left", 0)
	for i := range 3 {
		a.signal(last.PID, syscall.SIGUSR2)
		last = a.expect("ready", i+1)
		for _, s := range streams {
			s.await(t, last.PID)
		}
	}
	for _, s := range streams {
		t.Logf("%d datagrams, by %v", s.sent, s.stop(t))
	}
	a.signal(last.PID, syscall.SIGTERM)
	a.expectGone()
}

// TestMaster_BadVersionEndsAndTheNextReloadWorks has graceful's master, which names the worker that has ended as
// the old one then: nobody else may be told.
func TestMaster_BadVersionEndsAndTheNextReloadWorks(t *testing.T) {
	t.Parallel()
	a, _, addrs := startPredecessor(t, "graceful", 1)
	master := a.cmd.Process.Pid
	deploy(t, a, func(path string) { install(t, path) })
	run := load.Start(load.Config{Addr: addrs[0], Fresh: 4})
	a.setMode("check")
	a.signal(master, syscall.SIGHUP)
	if end := a.expect("end", 0); end.Err == "" {
		t.Error("a version that is not ready has ended well")
	}
	a.setMode("")
	a.signal(master, syscall.SIGHUP)
	next := a.expect("ready", 0)
	awaitServed(t, run, load.Server{PID: itoa(next.PID), Generation: "0"})
	a.expectLog("the old worker was gone already", 1)
	expectLossless(t, run)
	a.signal(master, syscall.SIGTERM)
	a.expect("end", 1)
}
