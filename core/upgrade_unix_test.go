//go:build unix

package core_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
)

// TestUpgradeLosesNothing is the main promise: clients that never retry, half on
// kept connections and half on fresh ones, see no failed request in 100 upgrades.
func TestUpgradeLosesNothing(t *testing.T) {
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 32, Fresh: 32})
	for i := 0; i < 100; i += 2 { // every other generation waits for the load, or that might not cross the upgrades
		upgradeFrom(a, i, i+2)
		awaitServed(t, run, load.Server{PID: itoa(a.expect("ready", i+2).PID), Generation: itoa(i + 2)})
	}
	res := run.Stop()
	t.Log(res)
	if res.Failed != 0 || res.Requests == 0 {
		t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
	}
	if strings.Contains(a.log(), "did not hand over") {
		t.Error("a new process did not see that the old one handed over")
	}
	if got := len(res.Served); got < 50 {
		t.Errorf("only %d generations served: the load did not cross the upgrades", got)
	}
}

// TestUpgradeWithSlowRequests: the same with requests in flight that outlive
// dozens of upgrades.
func TestUpgradeWithSlowRequests(t *testing.T) {
	t.Parallel() // it waits most of the time
	a := start(t, "app")
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 32, Fresh: 32, Path: "/?d=2s"})
	for i := range 4 {
		a.expect("handling", i*64+63) // a round of requests is in flight
		upgradeFrom(a, i*25, i*25+25)
	}
	res := run.Stop()
	t.Log(res)
	if res.Failed != 0 || res.Requests < 4*64 {
		t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
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

// TestUpgradeRunsWhatWasDeployed: the symlink is followed anew, and flags and
// environment are the first start's.
func TestUpgradeRunsWhatWasDeployed(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	a.env = []string{"APP_COLOR=green"}
	for _, r := range []string{"releases/1/app", "releases/2/app"} {
		install(t, filepath.Join(a.dir, r))
	}
	current := filepath.Join(a.dir, "current")
	if err := os.Symlink("releases/1", current); err != nil {
		t.Fatal(err)
	}
	a.start("app", "current/app", "-drain", "3s", "extra")
	first := a.expect("ready", 0)
	if first.Release != "1" {
		t.Fatalf("release %s runs", first.Release)
	}
	flip := filepath.Join(a.dir, "flip")
	if err := os.Symlink("releases/2", flip); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(flip, current); err != nil {
		t.Fatal(err)
	}
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

// TestUpgradeKeepsDirectory: the next generation starts where the first one did,
// wherever the program has gone since.
func TestUpgradeKeepsDirectory(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-chdir", "/")
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	if second := a.expect("ready", 1); second.Dir != first.Dir || first.Dir == "/" {
		t.Errorf("the next generation started in %s, the first in %s", second.Dir, first.Dir)
	}
}

// TestNothingLeaks: what a program under gracex starts inherits no socket of it
// and sees none of its private variables.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("what a process inherited is read from /proc/self/fd, which this system has not")
	}
	a := start(t, "app", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	addr := a.expect("ready", 0).Addrs[0]
	for i := range 2 {
		out, err := get(addr, "/child")
		must(t, err)
		if !strings.Contains(out, "pipe:") || strings.Contains(out, "socket:") || strings.Contains(out, "GRACEX") {
			t.Errorf("generation %d, a child sees:\n%s", i, out)
		}
		if i == 0 {
			upgradeTimes(a, 1)
		}
	}
}

// TestWrapper: the program file is a script that starts the program without exec,
// so that there is a process between the generations.
func TestWrapper(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	install(t, filepath.Join(a.dir, "real"))
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\n./real \"$@\"\n"))
	})
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 2, Fresh: 2})
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	a.expect("end", 0)
	if res := run.Stop(); res.Failed != 0 {
		t.Errorf("%v", res)
	}
}

// TestWrapperOutlivesItsProgram: the script holds the handover socket open, so that the end of the program
// behind it is not heard. The old process looks for itself, and takes the service back.
func TestWrapperOutlivesItsProgram(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-drain", "4m")
	first := a.expect("ready", 0)
	_, answer := dial(t, first.Addrs[0], "/hijack?stay=1") // holds up the drain
	_, err := http.ReadResponse(answer, nil)
	must(t, err)
	install(t, filepath.Join(a.dir, "real"))
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\n./real \"$@\"\nread forever <hold\n"))
	})
	must(t, syscall.Mkfifo(filepath.Join(a.dir, "hold"), 0o600))
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	if line, err := answer.ReadString('\n'); line != "goodbye\n" { // it is told to leave
		t.Fatalf("%q, %v", line, err)
	}
	a.signal(second.PID, syscall.SIGKILL)
	a.expectLog("upgrade rolled back late", 1)
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != first.PID || st.State != core.StateCurrent {
		t.Errorf("%+v", st)
	}
	a.expectLog("the new process is gone", 1) // the script, too
}

// TestOldProcessDiesAtOnce: before the new one has run a line of Go.
func TestOldProcessDiesAtOnce(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "tcp,127.0.0.1:0", "-listen", "unix,app.sock")
	first := a.expect("ready", 0)
	install(t, filepath.Join(a.dir, "real"))
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nkill -9 $PPID\nexec ./real \"$@\"\n"))
	})
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	if !slices.Equal(second.Addrs, first.Addrs) {
		t.Errorf("addresses %v, want %v", second.Addrs, first.Addrs)
	}
	for _, addr := range []string{first.Addrs[0], filepath.Join(a.dir, "app.sock")} {
		if _, err := get(addr, "/"); err != nil {
			t.Error(err)
		}
	}
}

// TestListenFD: the socket of a descriptor is served in each generation, and its
// path is left to whoever made it.
func TestListenFD(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	path := filepath.Join(a.dir, "theirs.sock")
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
	if _, err := get(path, "/"); err != nil {
		t.Error(err)
	}
	a.signal(a.expect("ready", 2).PID, syscall.SIGTERM)
	a.expectGone()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the path after the stop: %v", err)
	}
}

// TestUpgradeAfterRename: the program file was replaced by rename, as package
// managers do.
func TestUpgradeAfterRename(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	script := filepath.Join(a.dir, "new")
	// The new version announces itself before it is the same program.
	install(t, filepath.Join(a.dir, "real"))
	if err := writeProgram(script, "#!/bin/sh\ntouch renamed\nexec ./real \"$@\"\n"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(script, filepath.Join(a.dir, "app")); err != nil {
		t.Fatal(err)
	}
	if err := a.upgrade(first.Addrs[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "renamed")); err != nil {
		t.Error("the file that was replaced ran again")
	}
	if second := a.expect("ready", 1); second.Gen != 1 {
		t.Errorf("generation %d", second.Gen)
	}
}

// TestOldProcessDies: an old process that is killed in the middle of an upgrade
// leaves its sockets to the new one, which then serves alone.
func TestOldProcessDies(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-pidfile", "app.pid", "-listen", "unix,app.sock")
	first := a.expect("ready", 0)
	behave("wait")(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(first.PID, syscall.SIGKILL)
	a.AwaitExit()
	answered := make(chan error)
	go func() { // waits in the socket's queue
		_, err := get(filepath.Join(a.dir, "app.sock"), "/")
		answered <- err
	}()
	mend(t, a)
	second := a.expect("ready", 1)
	if err := <-answered; err != nil {
		t.Errorf("a connection from when nobody accepted: %v", err)
	}
	if pid := pidIn(t, a, first.PID); pid != second.PID {
		t.Errorf("the pid file names %d, want %d", pid, second.PID)
	}
	if err := a.upgrade(filepath.Join(a.dir, "app.sock")); err != nil {
		t.Error(err)
	}
}

// TestOldProcessStops: one that is stopped and does not answer "ready" does not
// hold the new one up.
func TestOldProcessStops(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	behave("wait")(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.freeze(first.PID)
	mend(t, a)
	second := a.expect("ready", 1) // after parentWait
	a.expectLog("it does not answer", 1)
	if _, err := get(first.Addrs[0], "/"); err != nil {
		t.Error(err)
	}
	// It goes on: it learns that the new one was ready in time, and drains.
	a.signal(first.PID, syscall.SIGCONT)
	if end := a.expect("end", 0); end.Err != "" {
		t.Error(end.Err)
	}
	a.expectLog("new_pid="+itoa(second.PID), 2)
}

// TestNothingIsLeft: no goroutine, descriptor or zombie after 500 upgrades, of which some
// fail before they are ready and some on probation.
func TestNothingIsLeft(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("descriptors and children are counted in /proc, which this system has not")
	}
	a := start(t, "app", "-probation", "1ms")
	addr := a.expect("ready", 0).Addrs[0]
	upgradeTimes(a, 2)
	a.expect("end", 1)
	before := quietCensus(t, addr)
	upgradeFrom(a, 2, 400)
	a.expect("end", 399)
	expectCensus(t, addr, before)
	// Failed ones, from one process.
	a.setMode("exit7")
	for range 60 {
		if err := a.upgrade(addr); err == nil || !strings.Contains(err.Error(), "exit status 7") {
			t.Fatalf("upgrade = %v", err)
		}
	}
	expectCensus(t, addr, before)

	a = start(t, "app", "-probation", "4m")
	addr = a.expect("ready", 0).Addrs[0]
	before = quietCensus(t, addr)
	a.setMode("rejects")
	for i := range 40 {
		if err := a.upgrade(addr); err == nil || !strings.Contains(err.Error(), "rejected itself: at once") {
			t.Fatalf("upgrade = %v", err)
		}
		a.expect("end", i)
	}
	expectCensus(t, addr, before)
}

// quietCensus returns the smallest census of many: with the least that is only
// passing through.
func quietCensus(t *testing.T, addr string) census {
	t.Helper()
	least := getJSON[census](t, addr, "/census")
	for range 50 {
		if c := getJSON[census](t, addr, "/census"); c.Goroutines+len(c.Descriptors) < least.Goroutines+len(least.Descriptors) {
			least = c
		}
	}
	return least
}

// expectCensus waits until the current generation holds no more than want, and
// has no child.
func expectCensus(t *testing.T, addr string, want census) {
	t.Helper()
	var c census
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c = getJSON[census](t, addr, "/census")
		if c.Goroutines <= want.Goroutines && len(c.Descriptors) <= len(want.Descriptors) && c.Children == 0 {
			return
		}
	}
	t.Errorf("a generation holds %+v\nat the beginning one held %+v", c, want)
}

// TestMainDoesNotReturn: a program that serves in a goroutine and waits for a signal in
// main does not end by itself after a handover. The new process ends it at its
// deadline, by the signal that it waits for.
func TestMainDoesNotReturn(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-linger", "-drain", "100ms")
	first := a.expect("ready", 0)
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	if ev := a.expect("lingers", 0); ev.PID != first.PID {
		t.Fatalf("%+v", ev)
	}
	a.signal(first.PID, syscall.SIGHUP) // does not kill it
	if ev := a.expect("end", 0); ev.PID != first.PID || ev.Err != "" {
		t.Errorf("%+v", ev)
	}
	a.expectLog("did not go by its deadline; signal sent", 1)
	a.signal(second.PID, syscall.SIGTERM)
	a.expect("lingers", 1) // until it has read the signal, which has come
	a.expect("end", 1)
}

// TestFailsOnce: a new process that could not get ready does not serve by trying
// again, on another address, say: the old one serves.
func TestFailsOnce(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	a.setMode("again")
	if err := a.upgrade(first.Addrs[0]); err == nil || !strings.Contains(err.Error(), "no database") {
		t.Errorf("upgrade = %v", err)
	}
	if ev := a.expect("end", 0); ev.Gen != 1 || !strings.Contains(ev.Err, core.ErrAborted.Error()+": this process has failed") {
		t.Errorf("the new process ended with %q", ev.Err)
	}
}
