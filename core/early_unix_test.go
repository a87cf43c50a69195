//go:build unix

package core_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/wire"
	_ "github.com/gracex-go/gracex/internal/earlytest"
)

// startEarly starts the app with packages that do what the words say before core is initialized.
func startEarly(t *testing.T, argv0, words string, args ...string) (a *app, first event) {
	t.Helper()
	a = prepare(t)
	must(t, os.Mkdir(a.path("bin"), 0o755))
	install(t, a.path(argv0))
	a.write(".env", "APP_COLOR=one")
	a.env = []string{"EARLY_TEST=" + words}
	a.start("app", argv0, args...)
	return a, a.expect("ready", 0)
}

// TestEarly_EnvironmentIsLoadedAnew by a package that is initialized before core, and lets what is set win.
func TestEarly_EnvironmentIsLoadedAnew(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := startEarly(t, "bin/app", "dotenv")
	a.write(".env", "APP_COLOR=two")
	second := a.next(first)
	a.endsWell(0)
	a.write(".env", "APP_COLOR=three")
	third := a.next(second)
	expectStart(t, first, "one")
	expectStart(t, second, "two")
	expectStart(t, third, "three")
	a.stopAll(third.PID)
}

// TestEarly_ArgumentsAndDirectoryAreThoseOfTheStart although a package takes some out before core is initialized, and the program
// is found although another one changes the working directory.
func TestEarly_ArgumentsAndDirectoryAreThoseOfTheStart(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a, first := startEarly(t, "bin/app", "args chdir", "-version=v1", "-drain=20s")
	second := a.next(first)
	a.endsWell(0)
	third := a.next(second)
	for _, ev := range []event{first, second, third} {
		expectStart(t, ev, "", "-version=v1")
	}
	a.stopAll(third.PID)
}

// TestEarly_DirectoryIsTheOldProcesses where it can't be told from argv[0], and a package of the next version changes it.
func TestEarly_DirectoryIsTheOldProcesses(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a := prepare(t)
	must(t, os.Mkdir(a.path("bin"), 0o755))
	install(t, a.path("bin/app"))
	a.env = []string{"APP_CONTROL=" + a.path("ctl.sock")}
	a.start("app", a.path("bin/app"))
	a.expect("ready", 0)
	upgradeWith(t, a, control.StartOptions{SetEnv: []string{"EARLY_TEST=chdir"}})
	a.expect("ready", 1)
	upgradeWith(t, a, control.StartOptions{})
	third := a.expect("ready", 2)
	if got := a.variable(third.PID, "PWD"); got != a.dir {
		t.Errorf("it is started in %s, want %s", got, a.dir)
	}
	a.stopAll(third.PID)
}

// TestEarly_FlagsAreTheProgramsOwn when a package parses them before core is initialized.
func TestEarly_FlagsAreTheProgramsOwn(t *testing.T) {
	t.Parallel()
	a, first := startEarly(t, "bin/app", "flags", "-version=v1")
	second := a.next(first)
	expectStart(t, second, "", "-version=v1")
	a.stopAll(second.PID)
}

// TestEarly_FlagsAreTheProgramsOwnBehindAWrapper that has started the first generation, too.
func TestEarly_FlagsAreTheProgramsOwnBehindAWrapper(t *testing.T) {
	t.Parallel()
	needsProc(t)
	for name, commands := range map[string]string{"exec": `exec ./real "$@"`, "no exec": "./real \"$@\"\ntrue"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			install(t, a.path("real"))
			must(t, writeProgram(a.path("wrapper"), "#!/bin/sh\n"+commands+"\n"))
			must(t, syscall.Mkfifo(a.path("gate"), 0o600))
			a.env = []string{"EARLY_TEST=flags app gate"}
			a.argv0 = "./wrapper"
			a.start("app", "./real", "-version=v1")
			a.nthReady("helper", 0)
			a.write("gate", "")
			first := a.own(0)
			a.signal(first.PID, syscall.SIGUSR2)
			helper := a.nthReady("helper", 1) // whose parent has taken nothing yet of what is for it
			a.write("gate", "")
			second := a.own(1)
			expectStart(t, second, "", "-version=v1")
			if second.Gen != 1 || second.Addrs[0] != first.Addrs[0] {
				t.Errorf("%+v comes after %+v", second, first)
			}
			if helper.Gen != 0 || helper.Upgrading {
				t.Errorf("a helper takes itself for a new version: %+v", helper)
			}
			a.signal(second.PID, syscall.SIGTERM)
		})
	}
}

// TestEarly_ProcessesKeepNothing that a package starts before core is initialized, and one that is a program on
// gracex itself does not take what is meant for the one that has started it.
func TestEarly_ProcessesKeepNothing(t *testing.T) {
	t.Parallel()
	needsProc(t)
	t.Run("after an upgrade", func(t *testing.T) {
		t.Parallel()
		a, _ := startEarly(t, "app", "child app")
		first := a.own(0)
		a.signal(first.PID, syscall.SIGUSR2)
		second := a.own(1)
		if second.Gen != 1 || !second.Upgrading || second.Addrs[0] != first.Addrs[0] {
			t.Errorf("%+v comes after %+v", second, first)
		}
		for i := range 2 {
			if ev := a.nthReady("helper", i); ev.Gen != 0 || ev.Upgrading || ev.Addrs[0] == first.Addrs[0] {
				t.Errorf("a helper takes itself for a new version: %+v", ev)
			}
		}
		a.signal(second.PID, syscall.SIGTERM)
		awaitRefused(t, first.Addrs[0])
		if err := syscall.Kill(a.nthReady("helper", 1).PID, 0); err != nil {
			t.Errorf("its helper is gone, so this shows nothing: %v", err)
		}
	})
	t.Run("after a crash", func(t *testing.T) {
		t.Parallel()
		a := installed(t)
		a.env = []string{"EARLY_TEST=child", core.EnvMode + "=supervised"}
		a.start("app", "./app")
		first := a.expect("ready", 0)
		a.signal(first.PID, syscall.SIGKILL)
		second := a.expect("ready", 1)
		if second.Addrs[0] != first.Addrs[0] {
			t.Errorf("%+v comes after %+v", second, first)
		}
		a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
		awaitRefused(t, first.Addrs[0])
		if status := a.AwaitExit(); status != 0 {
			t.Errorf("the supervisor ends with %d", status)
		}
	})
	t.Run("in the image that only supervises", func(t *testing.T) {
		t.Parallel()
		a := installed(t)
		a.env = []string{"EARLY_TEST=child app", core.EnvMode + "=auto"}
		a.start("app", "./app", "-probation=1ms")
		first := a.own(0)
		a.signal(first.PID, syscall.SIGUSR2)
		second := a.own(1)
		a.Await("the first process is the supervisor", func() bool { return a.variable(first.PID, wire.EnvSupervise) != "" })
		for i := range 3 { // one more, in the image of the supervisor
			if ev := a.nthReady("helper", i); ev.Gen != 0 || ev.Addrs[0] == first.Addrs[0] {
				t.Errorf("a helper takes itself for another process: %+v", ev)
			}
		}
		a.signal(second.PID, syscall.SIGKILL)
		if third := a.own(2); third.Addrs[0] != first.Addrs[0] {
			t.Errorf("%+v comes after %+v", third, first)
		}
		a.signal(first.PID, syscall.SIGTERM)
		awaitRefused(t, first.Addrs[0])
		if status := a.AwaitExit(); status != 0 {
			t.Errorf("the supervisor ends with %d", status)
		}
	})
	t.Run("that ends before core is initialized", func(t *testing.T) {
		t.Parallel()
		a, first := startEarly(t, "app", "child end")
		a.write("end", "")
		expectError(t, a.upgrade(first.Addrs[0]), "earlytest: end", "it ended before it was ready")
		a.signal(first.PID, syscall.SIGTERM)
		awaitRefused(t, first.Addrs[0])
	})
}

// own and nthReady are the n-th process that says ready, of the app's own and of those that a package has started.
func (a *app) own(n int) event { return a.nthReady("", n) }

func (a *app) nthReady(env string, n int) (ev event) {
	a.t.Helper()
	a.Await("a process is ready", func() bool {
		found := a.events.Where(func(ev event) bool { return ev.Event == "ready" && ev.Env == env })
		if len(found) > n {
			ev = found[n]
		}
		return len(found) > n
	})
	return ev
}
