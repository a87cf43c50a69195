//go:build unix

package core_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// serving starts the app, and waits until its first generation is ready.
func serving(t testing.TB, args ...string) (a *app, first event) {
	t.Helper()
	a = start(t, "app", args...)
	return a, a.expect("ready", 0)
}

// deployWrapper replaces the app's program file by a script, beside which the program is as "real".
func deployWrapper(t *testing.T, a *app, script string) {
	t.Helper()
	install(t, a.path("real"))
	deploy(t, a, func(path string) { must(t, writeProgram(path, "#!/bin/sh\n"+script)) })
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
}

func needsProc(t *testing.T) {
	t.Helper()
	if !hasProc() {
		t.Skip("what a process has is read from /proc, which this system has not")
	}
}

// TestUpgrade_LosesNothing is the main promise: clients that never retry, half on kept connections and half on fresh
// ones, see no failed request in 100 upgrades.
func TestUpgrade_LosesNothing(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 32, Fresh: 32})
	upgrades := proctest.Times(50) * 2
	for i := 0; i < upgrades; i += 2 { // every other generation waits for the load, or that might not cross the upgrades
		upgradeFrom(a, i, i+2)
		awaitServed(t, run, load.Server{PID: itoa(a.expect("ready", i+2).PID), Generation: itoa(i + 2)})
	}
	res := expectLossless(t, run)
	if strings.Contains(a.log(), "did not hand over") {
		t.Error("a new process did not see that the old one handed over")
	}
	if got := len(res.Served); got < upgrades/2 {
		t.Errorf("only %d generations served: the load did not cross the upgrades", got)
	}
}

// TestUpgrade_LosesNoSlowRequest has requests in flight that outlive dozens of upgrades.
func TestUpgrade_LosesNoSlowRequest(t *testing.T) {
	t.Parallel() // it waits most of the time
	a, first := serving(t)
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 32, Fresh: 32, Path: "/?d=2s"})
	n := proctest.Times(25)
	for i := range 4 {
		a.expect("handling", i*64+63) // a round of requests is in flight
		upgradeFrom(a, i*n, (i+1)*n)
	}
	if res := expectLossless(t, run); res.Requests < 4*64 {
		t.Errorf("%d requests", res.Requests)
	}
}

// upgradeTimes upgrades n times by signal, each as soon as the last one is done.
func upgradeTimes(a *app, n int) {
	a.t.Helper()
	upgradeFrom(a, 0, n)
}

func upgradeFrom(a *app, from, to int) {
	a.t.Helper()
	for i := from; i < to; i++ {
		a.signal(a.expect("ready", i).PID, syscall.SIGUSR2)
		ev := a.expect("ready", i+1)
		if ev.Gen != i+1 {
			a.t.Fatalf("generation %d after %d upgrades", ev.Gen, i+1)
		}
		if st := getJSON[core.Ledger](a.t, ev.Addrs[0], "/stats"); st.Generation != i+1 {
			a.t.Errorf("generation %d accepts after %d upgrades", st.Generation, i+1)
		}
	}
}

// TestUpgrade_RunsWhatWasDeployed follows the symlink anew. Flags and environment are the first start's.
func TestUpgrade_RunsWhatWasDeployed(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	a.env = []string{"APP_COLOR=green"}
	install(t, a.path("releases/1/app"))
	install(t, a.path("releases/2/app"))
	must(t, os.Symlink("releases/1", a.path("current")))
	must(t, os.Symlink("releases/2", a.path("flip")))
	a.start("app", "current/app", "-drain", "3s", "extra")
	first := a.expect("ready", 0)
	if first.Release != "1" {
		t.Fatalf("release %s runs", first.Release)
	}
	must(t, os.Rename(a.path("flip"), a.path("current")))
	a.signal(first.PID, syscall.SIGHUP)
	second := a.expect("ready", 1)
	if second.Release != "2" {
		t.Errorf("release %s runs after the flip", second.Release)
	}
	if want := []string{"-drain", "3s", "extra"}; !slices.Equal(second.Args, want) {
		t.Errorf("arguments %q, want %q", second.Args, want)
	}
	if second.Env != "green" {
		t.Errorf("environment %q, want %q: kept, and nothing private in it", second.Env, "green")
	}
}

// TestChild_InheritsNothingOfGracex looks for sockets and private variables in what a program under gracex starts.
func TestChild_InheritsNothingOfGracex(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := serving(t, "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	for i := range 2 {
		out, err := get(first.Addrs[0], "/child")
		must(t, err)
		out = strings.ReplaceAll(out, core.EnvMode+"=self", "") // the operator's
		if !strings.Contains(out, "pipe:") || strings.Contains(out, "socket:") || strings.Contains(out, "GRACEX") {
			t.Errorf("generation %d, a child sees:\n%s", i, out)
		}
		if i == 0 {
			upgradeTimes(a, 1)
		}
	}
}

// TestWrapper_WithoutExecLosesNothing replaces the program file by rename, as package managers do, with a script. A
// process is between the generations then.
func TestWrapper_WithoutExecLosesNothing(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	deployWrapper(t, a, "touch renamed\n./real \"$@\"\n")
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 2, Fresh: 2})
	a.signal(first.PID, syscall.SIGUSR2)
	if second := a.expect("ready", 1); second.Gen != 1 {
		t.Errorf("generation %d", second.Gen)
	}
	a.expect("end", 0)
	expectLossless(t, run)
	if _, err := os.Stat(a.path("renamed")); err != nil {
		t.Error("the file that was replaced ran again")
	}
}

// TestWrapper_ThatOutlivesItsProgramGivesTheServiceBack holds the handover socket open, so that the end of the
// program behind it is not heard. The old process looks for itself.
func TestWrapper_ThatOutlivesItsProgramGivesTheServiceBack(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "4m")
	_, answer := dial(t, first.Addrs[0], "/hijack?stay=1") // holds up the drain
	_, err := http.ReadResponse(answer, nil)
	must(t, err)
	deployWrapper(t, a, "./real \"$@\"\nread forever <hold\n")
	must(t, syscall.Mkfifo(a.path("hold"), 0o600))
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	if line, err := answer.ReadString('\n'); line != "goodbye\n" { // it is told to leave
		t.Fatalf("%q, %v", line, err)
	}
	a.signal(second.PID, syscall.SIGKILL)
	a.expectLog("upgrade rolled back late", 1)
	expectCurrent(t, first.Addrs[0], first.PID)
	a.expectLog("the new process is gone", 1) // the script, too
}

// expectCurrent asks at addr, and the process pid is to answer, in the middle of nothing.
func expectCurrent(t *testing.T, addr string, pid int) {
	t.Helper()
	if st := getJSON[core.Ledger](t, addr, "/stats"); st.PID != pid || st.State != core.StateCurrent {
		t.Errorf("process %d serves in state %v, want %d", st.PID, st.State, pid)
	}
}

// TestListenFD_IsServedByEachGeneration leaves the socket's path to whoever made it.
func TestListenFD_IsServedByEachGeneration(t *testing.T) {
	t.Parallel()
	a := installed(t)
	path := a.path("theirs.sock")
	ln, err := net.Listen("unix", path)
	must(t, err)
	ln.(*net.UnixListener).SetUnlinkOnClose(false)
	f, err := ln.(*net.UnixListener).File()
	must(t, err)
	a.files = []*os.File{f}
	a.start("app", "./app", "-fd", "3") // its address is the full path
	must(t, f.Close())
	must(t, ln.Close())
	a.expect("ready", 0)
	upgradeTimes(a, 2)
	expectAnswers(t, path)
	a.signal(a.expect("ready", 2).PID, syscall.SIGTERM)
	a.expectGone()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the path after the stop: %v", err)
	}
}

// TestOldProcess_KilledBeforeTheNewOneRunsLeavesItTheSockets kills it before the new one has run a line of Go. What
// that writes before it has an Upgrader is more than the pipe takes.
func TestOldProcess_KilledBeforeTheNewOneRunsLeavesItTheSockets(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	deployWrapper(t, a, "kill -9 $PPID\nexec ./real \"$@\"\n")
	a.setMode("flood")
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	if !slices.Equal(second.Addrs, first.Addrs) {
		t.Errorf("addresses %v, want %v", second.Addrs, first.Addrs)
	}
	expectAnswers(t, first.Addrs[0], a.path("app.sock"))
	// All is there, but where the new process took its real stderr a line may be in pieces, with others in between.
	a.expectLog("x", floodLines*87)
	if n := strings.Count(a.log(), "flood "); n < floodLines-4 {
		t.Errorf("%d of %d lines arrived", n, floodLines)
	}
}

// TestOldProcess_KilledInAnUpgradeLeavesEverything to a new one that writes all the time. All that it writes arrives,
// but for a piece that the old one was copying.
func TestOldProcess_KilledInAnUpgradeLeavesEverything(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-pidfile", "app.pid", "-listen", "unix,app.sock")
	a.setMode("chatter")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.expectLog("chatter 1000 ", 1)
	a.signal(first.PID, syscall.SIGKILL)
	a.AwaitExit()
	waits := rawhttp.Dial(t, a.path("app.sock")) // nobody accepts it yet
	waits.Ask("/")
	now := a.Log.Count("\nchatter ")
	a.expectLog(fmt.Sprintf("\nchatter %d ", now+20_000), 1) // more than any pipe takes
	a.setMode("")
	second := a.expect("ready", 1)
	waits.Answer()
	if pid := pidIn(t, a, first.PID); pid != second.PID {
		t.Errorf("the pid file names %d, want %d", pid, second.PID)
	}
	a.expectLog("chatter ends", 1)
	seen, last := map[int]bool{}, 0
	for line := range strings.Lines(a.log()) {
		var i int
		if n, _ := fmt.Sscanf(line, "chatter %d zz", &i); n == 1 {
			seen[i], last = true, max(last, i)
		}
	}
	if lost := last + 1 - len(seen); lost > 4096/80 {
		t.Errorf("%d lines of %d are lost", lost, last+1)
	}
	must(t, a.upgrade(a.path("app.sock")))
}

func TestOldProcess_ThatStandsStillHoldsUpNothing(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.setMode("wait")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.freeze(first.PID)
	a.setMode("")
	second := a.expect("ready", 1) // after parentWait
	a.expectLog("it does not answer", 1)
	expectAnswers(t, first.Addrs[0])
	// It goes on: it learns that the new one was ready in time, and drains.
	a.signal(first.PID, syscall.SIGCONT)
	a.endsWell(0)
	a.expectLog("new_pid="+itoa(second.PID), 2)
}

// TestUpgrade_LeavesNothing counts goroutines, descriptors and zombies over 500 upgrades, of which some fail before
// they are ready and some on probation.
func TestUpgrade_LeavesNothing(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := serving(t, "-probation", "1ms")
	addr := first.Addrs[0]
	upgradeTimes(a, 2)
	a.expect("end", 1)
	before := quietCensus(t, addr)
	upgrades := proctest.Times(400)
	upgradeFrom(a, 2, upgrades)
	a.expect("end", upgrades-1)
	expectCensus(t, addr, before)
	// Failed ones, from one process.
	a.setMode("exit7")
	for range proctest.Times(60) {
		expectError(t, a.upgrade(addr), "exit status 7")
	}
	expectCensus(t, addr, before)

	a, first = serving(t, "-probation", "4m")
	addr = first.Addrs[0]
	before = quietCensus(t, addr)
	a.setMode("rejects")
	for i := range proctest.Times(40) {
		expectError(t, a.upgrade(addr), "rejected itself: at once")
		a.expect("end", i)
	}
	expectCensus(t, addr, before)
}

// quietCensus returns the smallest census of many, with the least that is only passing through.
func quietCensus(t *testing.T, addr string) census {
	t.Helper()
	least := getJSON[census](t, addr, "/census")
	for range 50 {
		c := getJSON[census](t, addr, "/census")
		if c.Goroutines+len(c.Descriptors) < least.Goroutines+len(least.Descriptors) {
			least = c
		}
	}
	return least
}

// expectCensus waits until the current generation holds no more than want, and has no child.
func expectCensus(t *testing.T, addr string, want census) {
	t.Helper()
	var c census
	defer func() {
		if t.Failed() {
			t.Logf("a generation holds %+v\nat the beginning one held %+v", c, want)
		}
	}()
	proctest.Await(t, "the generation holds no more than one did at the beginning", func() bool {
		c = getJSON[census](t, addr, "/census")
		return c.Goroutines <= want.Goroutines && len(c.Descriptors) <= len(want.Descriptors) && c.Children == 0
	})
}

// TestOldProcess_WhoseMainDoesNotReturnIsEndedAtItsDeadline has a program that serves in a goroutine and waits for
// a signal in main. The new process ends it by that signal.
func TestOldProcess_WhoseMainDoesNotReturnIsEndedAtItsDeadline(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-linger", "-drain", "100ms")
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	if ev := a.expect("lingers", 0); ev.PID != first.PID {
		t.Fatalf("%+v", ev)
	}
	a.signal(first.PID, syscall.SIGHUP) // does not kill it
	if ev := a.endsWell(0); ev.PID != first.PID {
		t.Errorf("%+v", ev)
	}
	a.expectLog("the main of the old process does not return; signal sent", 1)
	a.signal(second.PID, syscall.SIGTERM)
	a.expect("lingers", 1) // until it has read the signal, which has come
	a.expect("end", 1)
}

// TestNewProcess_ThatFailedDoesNotServe by trying again, on another address, say. The old one serves.
func TestNewProcess_ThatFailedDoesNotServe(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	a.setMode("again")
	expectError(t, a.upgrade(first.Addrs[0]), "no database")
	end := a.expect("end", 0)
	expectText(t, end.Err, core.ErrAborted.Error()+": this process has failed")
	if end.Gen != 1 {
		t.Errorf("generation %d ended", end.Gen)
	}
}
