package core_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/wire"
)

func init() { programs["liar"] = playLiar }

// raises gives a file rights that its caller, who is nobody, has not.
var raises = map[string]func(path string) error{
	"setuid": func(path string) error { return os.Chmod(path, 0o755|os.ModeSetuid) },
	"setgid": func(path string) error {
		if err := os.Chown(path, 0, 3); err != nil {
			return err
		}
		return os.Chmod(path, 0o755|os.ModeSetgid)
	},
	"capabilities": func(path string) error {
		const bind = "\x01\x00\x00\x02\x00\x04\x00\x00" // cap_net_bind_service=ep: see capabilities(7)
		return syscall.Setxattr(path, "security.capability", []byte(bind+strings.Repeat("\x00", 12)), 0)
	},
}

// raised installs the app with more rights than its caller.
func raised(t *testing.T, raise func(path string) error) *app {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can give a file rights")
	}
	a := prepare(t)
	unprivileged(t, a)
	a.replace(raise)
	return a
}

// replace puts another file in the place of the app's. Another process writes it: if another test forks meanwhile, it
// could not be executed (golang/go#22315).
func (a *app) replace(raise func(path string) error) {
	a.t.Helper()
	self, err := os.Executable()
	must(a.t, err)
	must(a.t, exec.Command("install", "-m", "755", self, a.path("next")).Run())
	must(a.t, raise(a.path("next")))
	must(a.t, os.Rename(a.path("next"), a.path("app")))
}

// callersWords are what a caller could say to a process.
func (a *app) callersWords() []string {
	return []string{
		core.EnvMode + "=supervised", core.EnvCommand + "=stop", wire.EnvSupervise + `={"workers":[{"pid":1}]}`,
		wire.EnvLink + "=1:3:1", "GRACEFUL_WORKER=1", "LISTEN_FDS=1", "NOTIFY_SOCKET=" + a.path("theirs/notify"),
		"NLSPATH=" + a.path("theirs"), // the C library takes it away, and by that hides from the runtime what the kernel says
	}
}

// TestRaised_CallerDecidesNothing: whoever starts a program that has more rights chooses neither what an upgrade
// executes, nor anything else by the environment. An upgrade to a version with the same rights works.
func TestRaised_CallerDecidesNothing(t *testing.T) {
	t.Parallel()
	for name, raise := range raises {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := raised(t, raise)
			a.write("evil", "#!/bin/sh\n: >"+a.path("evil-has-run")+"\n")
			must(t, os.Chmod(a.path("evil"), 0o755))
			must(t, os.Mkdir(a.path("theirs"), 0o755))
			must(t, os.Chmod(a.path("theirs"), 0o777))
			a.argv0, a.env = a.path("evil"), a.callersWords()
			a.start("app", "./app", "-drain", "1s")
			first := a.expect("ready", 0)
			must(t, a.upgrade(first.Addrs[0]))
			next := a.expect("ready", 1)
			if got := proc.Name(next.PID); got != "app" || next.Gen != 1 {
				t.Errorf("generation %d is called %q", next.Gen, got)
			}
			for _, name := range []string{core.EnvMode, "GRACEFUL_WORKER", "LISTEN_FDS", "NOTIFY_SOCKET"} {
				if v := a.variable(next.PID, name); v != "" {
					t.Errorf("the next process is started with %s=%s", name, v)
				}
			}
			a.replace(func(string) error { return nil })
			expectError(t, a.upgrade(next.Addrs[0]), "the program is not trusted", "does not give the rights", a.path("app"))
			a.replace(raise)
			a.expectLog("generation ended", 1) // else the first one would serve again
			a.signal(next.PID, syscall.SIGKILL)
			a.expect("ready", 2) // the supervisor inside the first process is believed
			if _, err := os.Stat(a.path("evil-has-run")); err == nil {
				t.Error("the caller's program has run")
			}
			a.signal(a.cmd.Process.Pid, syscall.SIGTERM)
			a.exitsWell()
		})
	}
}

// playLiar starts the app with more rights as an old process or a supervisor does, by the rights that it has.
func playLiar() {
	ours, end, err := fd.Pair()
	check(err)
	check(wire.Write(ours, wire.Welcome, wire.WelcomeMsg{PID: os.Getpid(), Generation: 1}))
	check(ours.SetDeadline(time.Now().Add(patience)))
	words := fmt.Sprintf("%d:3:%d", wire.Version, os.Getpid())
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2, uintptr(end)}, Env: append([]string{envProgram + "=app", os.Args[1] + "=" + words}, os.Environ()...)}
	_, err = syscall.ForkExec("./app", append([]string{"./app"}, os.Args[2:]...), attr)
	check(err)
	check(fd.Close(end))
	for {
		f, err := wire.Read(ours)
		if err != nil {
			emit(event{Event: "hungup"})
			return
		}
		emit(event{Event: "heard", Err: f.Type.String() + " " + string(f.Payload)})
	}
}

// TestRaised_BelievesNoCaller, which says that it is the old process, or the supervisor.
func TestRaised_BelievesNoCaller(t *testing.T) {
	t.Parallel()
	for name, raise := range raises {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, as := range []string{wire.EnvHandover, wire.EnvLink} {
				a := raised(t, raise)
				args := []string{as}
				if as == wire.EnvHandover {
					args = append(args, "-graceful")
				}
				self, err := os.Executable()
				must(t, err)
				must(t, exec.Command("install", "-m", "755", self, a.path("liar")).Run())
				a.start("liar", "./liar", args...)
				hello, failed := a.expect("heard", 0), a.expect("heard", 1)
				expectText(t, hello.Err, "hello")
				expectText(t, failed.Err, "failed", "has fewer rights")
				a.expect("hungup", 0)
				expectText(t, a.expect("end", 0).Err, "fewer rights")
				a.expectGone()
			}
		})
	}
}

// TestRaised_IsNotWhatIsConfined: a security module has AT_SECURE set for a program that gets no right from its file.
func TestRaised_IsNotWhatIsConfined(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/app"
	if !core.GivesCapabilities(path) {
		t.Error("a file that can't be asked gives none")
	}
	must(t, os.WriteFile(path, nil, 0o755))
	if core.GivesCapabilities(path) {
		t.Error("a plain file gives capabilities")
	}
	if os.Getuid() != 0 {
		t.Skip("only root can give a file capabilities")
	}
	must(t, raises["capabilities"](path))
	if !core.GivesCapabilities(path) {
		t.Error("a file with capabilities gives none")
	}
}
