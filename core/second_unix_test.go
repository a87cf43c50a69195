//go:build unix

package core_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// TestSecondInstance_LeavesTheFirstAlone: its pid file and its socket stay as they are, so that "kill" and the command
// mean one process.
func TestSecondInstance_LeavesTheFirstAlone(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-pidfile", "app.pid", "-listen", "unix,sock", "-control", "auto")
	for name, place := range map[string]func(path string){
		"the same file":   func(path string) { install(t, path) },
		"another release": func(path string) { must(t, writeProgram(path, readFile(t, a.path("app")))) },
	} {
		t.Run(name, func(t *testing.T) {
			b := prepare(t)
			place(b.path("app"))
			b.start("app", "./app", "-pidfile", a.path("app.pid"), "-control", "auto")
			b.expectGone()
			expectText(t, b.expect("end", 0).Err, core.ErrSecondInstance.Error(),
				fmt.Sprintf("pid file %s names process %d, which serves", a.path("app.pid"), first.PID), "WithPIDFile")
			if got := readPID(a); got != itoa(first.PID) {
				t.Errorf("the pid file names %s, want %d", got, first.PID)
			}
		})
	}
	b := start(t, "app", "-pidfile", "app.pid", "-listen", "unix,"+a.path("sock"))
	b.expectGone()
	expectText(t, b.expect("end", 0).Err, "address already in use")
	a.stopsWell()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

// TestSecondInstance_IsNoneAfterAStop: the process that drains has the pid file, and serves nobody new.
func TestSecondInstance_IsNoneAfterAStop(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ control, prestop string }{
		"with a control socket": {"auto", "0s"},
		"without one":           {"", "0s"},
		"in the pre-stop delay": {"auto", "4m"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, "-pidfile", "app.pid", "-control", tt.control, "-drain", "4m", "-prestop", tt.prestop)
			c := asked(t, first.Addrs[0], "/hijack?stay=1")
			expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Hijacked == 1 })
			a.signal(first.PID, syscall.SIGTERM)
			if tt.prestop == "0s" {
				awaitRefused(t, first.Addrs[0])
			}
			a.AwaitLog(map[string]string{"0s": "msg=draining", "4m": "not ready any more"}[tt.prestop], 1)
			if got := readPID(a); got != itoa(first.PID) {
				t.Errorf("the pid file names %s while process %d drains", got, first.PID)
			}
			b := prepare(t)
			b.start("app", a.path("app"), "-pidfile", a.path("app.pid"), "-control", tt.control) // the same program
			second := b.expect("ready", 0)
			c.Close()
			if tt.prestop != "0s" {
				a.signal(first.PID, syscall.SIGTERM) // ends the delay
			}
			a.exitsWell()
			if got := readPID(a); got != itoa(second.PID) {
				t.Errorf("the pid file names %s, want %d", got, second.PID)
			}
			b.stopsWell()
		})
	}
}

// TestSecondInstance_IsNotLookedForInAFileThatCantBeRead: a profile of AppArmor can allow to write it and not to
// read it.
func TestSecondInstance_IsNotLookedForInAFileThatCantBeRead(t *testing.T) {
	t.Parallel()
	a := installed(t)
	unprivileged(t, a)
	must(t, os.Mkdir(a.path("own"), 0o777))
	must(t, os.Chmod(a.path("own"), 0o777))
	must(t, os.WriteFile(a.path("own/app.pid"), []byte(itoa(os.Getpid())), 0o200))
	a.start("app", "./app", "-pidfile", "own/app.pid")
	first := a.expect("ready", 0)
	a.expectLog("it is not known whether another instance has the pid file, because it can't be read", 1)
	if got := readFile(t, a.path("own/app.pid")); got != itoa(first.PID)+"\n" {
		t.Errorf("the pid file has %q", got)
	}
	a.expectLog("somebody else can replace the pid file", 1)
	a.stopsWell()
}
