//go:build unix

package core_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// deploy replaces the app's program file by rename.
func deploy(t *testing.T, a *app, write func(path string)) {
	t.Helper()
	next := a.path("next")
	write(next)
	must(t, os.Rename(next, a.path("app")))
}

// deployApp replaces the program file by the app.
func deployApp(t *testing.T, a *app) {
	t.Helper()
	deploy(t, a, func(next string) { install(t, next) })
}

// deployPlain replaces the program file by the plain program.
func deployPlain(t *testing.T, a *app) {
	t.Helper()
	deploy(t, a, func(next string) { placeAlone(t, "plain", next) })
}

// deployScript replaces the program file by a script.
func deployScript(t *testing.T, a *app, commands string) {
	t.Helper()
	deploy(t, a, func(next string) { must(t, writeProgram(next, "#!/bin/sh\n"+commands+"\n")) })
}

// pidIn waits until the app's pid file names another process than old.
func pidIn(t testing.TB, a *app, old int) (pid int) {
	t.Helper()
	proctest.Await(t, fmt.Sprintf("the pid file names another process than %d", old), func() bool {
		pid = procgroup.ReadPIDFile(a.path("app.pid"))
		return pid != 0 && pid != old
	})
	return pid
}

// expectPID is pidIn, and the other process has to be this one.
func (a *app) expectPID(old, want int) {
	a.t.Helper()
	if pid := pidIn(a.t, a, old); pid != want {
		a.t.Errorf("the pid file names %d, want %d", pid, want)
	}
}

// awaitServed waits until the server has answered.
func awaitServed(t testing.TB, run *load.Run, server load.Server) {
	t.Helper()
	proctest.Await(t, fmt.Sprintf("an answer by %v", server), func() bool { return run.Snapshot().Served[server] > 0 })
}

// startEnv is serving with more environment.
func startEnv(t testing.TB, env []string, args ...string) (a *app, first event) {
	t.Helper()
	a = installed(t)
	a.env = env
	a.start("app", "./app", args...)
	return a, a.expect("ready", 0)
}

// startReplaceable starts the app with what the plain program understands, and more environment.
func startReplaceable(t *testing.T, env ...string) (a *app, first event) {
	t.Helper()
	return startEnv(t, env, "-addr", "127.0.0.1:0", "-pidfile", "app.pid")
}

// becomePlain has the plain program replace the process.
func (a *app) becomePlain(t *testing.T, first event, run *load.Run) (plain event) {
	t.Helper()
	deployPlain(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("plain=true", 1)
	a.endsWell(0)
	plain = event{PID: pidIn(t, a, first.PID)}
	awaitBy(t, plain, run)
	expectLossless(t, run)
	return plain
}

// TestPlain_ReplacesAndIsReplaced goes the whole circle, and upgrades the app then.
func TestPlain_ReplacesAndIsReplaced(t *testing.T) {
	t.Parallel()
	a, first := startReplaceable(t)
	addr := first.Addrs[0]
	plain := a.becomePlain(t, first, load.Start(load.Config{Addr: addr, Clients: 4, Fresh: 4}))

	deployApp(t, a)
	a.signal(plain.PID, syscall.SIGHUP)
	second := a.expect("ready", 1)
	if second.Gen != 1 || second.Addrs[0] != addr { // they count from there
		t.Errorf("generation %d on %v", second.Gen, second.Addrs)
	}
	a.expectLog("the old process is gone", 1)
	a.expectPID(plain.PID, second.PID)

	run := load.Start(load.Config{Addr: addr, Clients: 4, Fresh: 4})
	must(t, a.upgrade(addr))
	third := a.expect("ready", 2)
	served := expectLossless(t, run).Served[load.Server{PID: itoa(plain.PID), Generation: "0"}]
	if served != 0 || strings.Contains(a.log(), "did not hand over") {
		t.Errorf("the plain process was not ended: %d requests by it", served)
	}
	a.signal(third.PID, syscall.SIGTERM)
	a.expect("end", 2)
}

// TestPlain_DeadOneHasNotTakenOver has a program that says that it is ready, and dies.
func TestPlain_DeadOneHasNotTakenOver(t *testing.T) {
	t.Parallel()
	const dies = "kill -TERM $PPID\nexit 4"
	t.Run("the old process serves on", func(t *testing.T) {
		t.Parallel()
		a, first := startReplaceable(t)
		deployScript(t, a, dies)
		expectError(t, a.upgrade(first.Addrs[0]), "exit status 4")
		expectCurrent(t, first.Addrs[0], first.PID)
	})
	t.Run("its SIGTERM has stopped a program with a handler of its own", func(t *testing.T) {
		t.Parallel()
		a, first := startReplaceable(t, "APP_OWN=1")
		deployScript(t, a, dies)
		a.signal(first.PID, syscall.SIGUSR2)
		a.endsWell(0)
		a.expectLog("exit status 4", 1)
		a.expectGone()
	})
}

// TestPlain_StopWhileTheNextOneStarts takes a SIGTERM for a stop, and not for the word of a plain program.
func TestPlain_StopWhileTheNextOneStarts(t *testing.T) {
	t.Parallel()
	t.Run("which speaks the protocol", func(t *testing.T) {
		t.Parallel()
		a, first := startReplaceable(t)
		a.setMode("hang")
		a.signal(first.PID, syscall.SIGUSR2)
		a.expect("postfork", 0)
		a.signal(first.PID, syscall.SIGTERM)
		a.endsWell(0)
		a.expectGone()
	})
	t.Run("which has not spoken, with a handler of the program's own", func(t *testing.T) {
		t.Parallel()
		a, first := startReplaceable(t, "APP_OWN=1")
		deployScript(t, a, "exec sleep 60")
		a.signal(first.PID, syscall.SIGUSR2)
		a.expect("postfork", 0)
		if err := a.call(first.Addrs[0], "/stop"); err != nil {
			t.Error(err)
		}
		a.endsWell(0)
		a.expectGone()
	})
}

// TestPlain_CanBeReplacedAtOnce before the old process has made sure of it. The next generation speaks on a socket
// that was not meant for it.
func TestPlain_CanBeReplacedAtOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode   string
		freeze bool
	}{
		"at once":               {"", false},
		"during a hook":         {"holdpost", false}, // the old process hears of all that only when its hook returns
		"while it stands still": {"holdpost", true},  // and the signal, which came first, when the next generation has spoken
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := startReplaceable(t)
			deployPlain(t, a)
			a.setMode(tt.mode)
			t.Cleanup(func() { a.setMode("") })
			a.signal(first.PID, syscall.SIGUSR2)
			if tt.freeze {
				a.expect("postfork", 0)
				a.Freeze(first.PID)
			}
			plain := pidIn(t, a, first.PID)

			deployApp(t, a)
			a.signal(plain, syscall.SIGHUP)
			a.expectLog("inherited=true", 1) // it has said hello
			if tt.freeze {
				a.Thaw(first.PID)
			}
			a.setMode("")
			last := a.expect("ready", 1)
			if end := a.endsWell(0); end.PID != first.PID {
				t.Errorf("process %d has ended, want the first", end.PID)
			}
			a.expectLog("the old process is gone", 1)
			expectCurrent(t, first.Addrs[0], last.PID)
			a.expectPID(plain, last.PID)
		})
	}
}

// TestPlain_ReadyIsAStopToAnOwnHandler of SIGTERM, and the service goes on all the same.
func TestPlain_ReadyIsAStopToAnOwnHandler(t *testing.T) {
	t.Parallel()
	a, first := startReplaceable(t, "APP_OWN=1")
	a.becomePlain(t, first, load.Start(load.Config{Addr: first.Addrs[0], Clients: 4, Fresh: 4}))
}

// awaitBy waits until the process has answered on each of them.
func awaitBy(t testing.TB, ev event, runs ...*load.Run) {
	t.Helper()
	for _, run := range runs {
		awaitServed(t, run, load.Server{PID: itoa(ev.PID), Generation: itoa(ev.Gen)})
	}
}
