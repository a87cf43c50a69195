//go:build unix

package core_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
)

// deployPlain replaces the app's program file by the plain program.
func deployPlain(t *testing.T, a *app) {
	t.Helper()
	deploy(t, a, func(next string) { placeAlone(t, "plain", next) })
}

// deploy replaces the app's program file by rename.
func deploy(t *testing.T, a *app, write func(path string)) {
	t.Helper()
	next := filepath.Join(a.dir, "next")
	write(next)
	must(t, os.Rename(next, filepath.Join(a.dir, "app")))
}

// pidIn waits until the app's pid file names another process than old.
func pidIn(t *testing.T, a *app, old int) int {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		b, _ := os.ReadFile(filepath.Join(a.dir, "app.pid"))
		if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && pid != old {
			return pid
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("the pid file still names %d", old)
	return 0
}

// TestPlainProtocol goes the whole circle: a gracex app is replaced by a program
// that knows only -graceful, descriptor 3 and SIGTERM, and that one by a gracex
// app, which then upgrades as ever.
func TestPlainProtocol(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]

	// gracex -> plain: nothing is lost.
	run := load.Start(load.Config{Addr: addr, Clients: 4, Fresh: 4})
	deployPlain(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("plain=true", 1)
	a.expect("end", 0)
	plain := pidIn(t, a, first.PID)
	server := load.Server{PID: itoa(plain), Generation: "0"}
	awaitServed(t, run, server)
	if res := run.Stop(); res.Failed != 0 || res.Requests == 0 {
		t.Errorf("gracex to plain: %v", res)
	}

	// plain -> gracex: the new process ends the old one, and generations count
	// from there.
	deploy(t, a, func(path string) { install(t, path) })
	a.signal(plain, syscall.SIGHUP)
	second := a.expect("ready", 1)
	if second.Gen != 1 || second.Addrs[0] != addr {
		t.Errorf("generation %d on %v", second.Gen, second.Addrs)
	}
	a.expectLog("the old process is gone", 1)
	if pid := pidIn(t, a, plain); pid != second.PID {
		t.Errorf("the pid file names %d, want %d", pid, second.PID)
	}

	// gracex -> gracex, as if nothing had been.
	run = load.Start(load.Config{Addr: addr, Clients: 4, Fresh: 4})
	if err := a.upgrade(addr); err != nil {
		t.Fatal(err)
	}
	third := a.expect("ready", 2)
	res := run.Stop()
	if res.Failed != 0 || res.Requests == 0 {
		t.Errorf("gracex to gracex: %v", res)
	}
	if res.Served[server] != 0 || strings.Contains(a.log(), "did not hand over") {
		t.Errorf("the plain process was not ended: %d requests by it", res.Served[server])
	}
	a.signal(third.PID, syscall.SIGTERM)
	a.expect("end", 2)
}

// awaitServed waits until the server has answered.
func awaitServed(t *testing.T, run *load.Run, server load.Server) {
	t.Helper()
	for end := time.Now().Add(patience); run.Snapshot().Served[server] == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%v serves nobody: %v", server, run.Stop())
		}
	}
}

// TestPlainProgramDies: one that says "ready" and dies has not taken over.
func TestPlainProgramDies(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app")
	first := a.expect("ready", 0)
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nkill -TERM $PPID\nexit 4\n"))
	})
	if err := a.upgrade(first.Addrs[0]); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("upgrade = %v", err)
	}
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != first.PID || st.State != core.StateCurrent {
		t.Errorf("pid %d serves in state %v", st.PID, st.State)
	}
}

// TestStopDuringUpgrade: a SIGTERM for the service, while a new process that
// speaks the protocol starts, is no "ready": everything stops.
func TestStopDuringUpgrade(t *testing.T) {
	t.Parallel()
	a := start(t, "app")
	first := a.expect("ready", 0)
	behave("hang")(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("postfork", 0)
	a.signal(first.PID, syscall.SIGTERM)
	if end := a.expect("end", 0); end.Err != "" {
		t.Errorf("the stop ended with %s", end.Err)
	}
	a.expectGone()
}

// TestPlainProgramIsReplacedAtOnce: a plain program has taken over and is upgraded
// before the old process has made sure of it. Its next generation speaks on a socket
// that was not meant for it; somebody serves all the time.
func TestPlainProgramIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	for name, during := range map[string]func(t *testing.T, a *app){
		"at once": func(*testing.T, *app) {},
		// The old process hears of all that only when its hook returns.
		"during a hook": func(t *testing.T, a *app) {
			a.setMode("holdpost")
			t.Cleanup(func() { a.setMode("") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replacePlainAtOnce(t, during)
		})
	}
}

func replacePlainAtOnce(t *testing.T, during func(t *testing.T, a *app)) {
	t.Helper()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first := a.expect("ready", 0)
	deployPlain(t, a)
	during(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	plain := pidIn(t, a, first.PID)

	deploy(t, a, func(path string) { install(t, path) })
	a.signal(plain, syscall.SIGHUP)
	a.expectLog("inherited=true", 1) // it has said hello
	a.setMode("")
	last := a.expect("ready", 1)
	if end := a.expect("end", 0); end.PID != first.PID || end.Err != "" {
		t.Errorf("pid %d ended with %q, want the first", end.PID, end.Err)
	}
	a.expectLog("the old process is gone", 1)
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != last.PID || st.State != core.StateCurrent {
		t.Errorf("pid %d serves in state %v", st.PID, st.State)
	}
	if pid := pidIn(t, a, plain); pid != last.PID {
		t.Errorf("the pid file names %d, want %d", pid, last.PID)
	}
}

// TestPlainReadyAndOwnHandler: a program that handles SIGTERM itself, by a graceful
// stop, takes a plain program's "ready" for one. The service goes on all the same, and
// a SIGTERM that is one stops it.
func TestPlainReadyAndOwnHandler(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.env = []string{"APP_OWN=1"}
	a.start("app", "./app", "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
	first := a.expect("ready", 0)
	run := load.Start(load.Config{Addr: first.Addrs[0], Clients: 4, Fresh: 4})
	defer run.Stop()
	deployPlain(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("plain=true", 1)
	if end := a.expect("end", 0); end.Err != "" {
		t.Errorf("it ended with %s", end.Err)
	}
	plain := pidIn(t, a, first.PID)
	awaitServed(t, run, load.Server{PID: itoa(plain), Generation: "0"})
	if res := run.Stop(); res.Failed != 0 {
		t.Errorf("%v", res)
	}
}

// TestStopByOwnHandler: such a program stops by a SIGTERM, also while a new process that
// has not spoken yet starts.
func TestStopByOwnHandler(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	a.env = []string{"APP_OWN=1"}
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app")
	first := a.expect("ready", 0)
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nexec sleep 60\n"))
	})
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("postfork", 0)
	if err := a.call(first.Addrs[0], "/stop"); err != nil {
		t.Error(err)
	}
	if end := a.expect("end", 0); end.Err != "" {
		t.Errorf("the stop ended with %s", end.Err)
	}
	a.expectGone()
}

// TestPlainProgramDiesAndOwnHandler: the program has asked for a stop, and nobody has
// taken over.
func TestPlainProgramDiesAndOwnHandler(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	a.env = []string{"APP_OWN=1"}
	install(t, filepath.Join(a.dir, "app"))
	a.start("app", "./app")
	first := a.expect("ready", 0)
	deploy(t, a, func(path string) {
		must(t, writeProgram(path, "#!/bin/sh\nkill -TERM $PPID\nexit 4\n"))
	})
	a.signal(first.PID, syscall.SIGUSR2)
	if end := a.expect("end", 0); end.Err != "" {
		t.Errorf("it ended with %s", end.Err)
	}
	a.expectLog("exit status 4", 1)
	a.expectGone()
}
