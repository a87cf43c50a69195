package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
)

func init() {
	programs["bystander"] = playBystander
	programs["words"] = playWords
}

// playBystander is a program that starts the app, and is no version of it: a file watcher, or a service with a helper.
// The app has the variables in BYSTANDER and the arguments in BYSTANDER_ARGS, which the bystander must not take for
// its own, and descriptor 3, which it does not keep. It says at its end which signals have come.
func playBystander() {
	came, leave := make(chan os.Signal, 16), make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGTERM, syscall.SIGUSR1)
	signal.Notify(leave, syscall.SIGINT)
	env := append(os.Environ(), envProgram+"=app", core.EnvMode+"=self")
	cmd := &exec.Cmd{
		Path: "./app", Args: append([]string{"./app"}, strings.Fields(os.Getenv("BYSTANDER_ARGS"))...), Stdout: os.Stdout, Stderr: os.Stderr,
		Env: append(env, strings.Fields(os.Getenv("BYSTANDER"))...),
	}
	if os.Getenv("BYSTANDER_LISTENS") != "" {
		f := os.NewFile(3, "listener")
		cmd.ExtraFiles = []*os.File{f}
		defer f.Close()
	}
	check(cmd.Start())
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	<-leave
	signal.Stop(came)
	close(came)
	ev := event{Event: "bystander"}
	for sig := range came {
		ev.Args = append(ev.Args, sig.String())
	}
	emit(ev)
}

// startBystander starts it, with the variables and, where listens says so, a listener for the app. The function ends
// it, and checks that it has got no signal.
func startBystander(t *testing.T, vars string, listens bool, args ...string) (a *app, left func()) {
	t.Helper()
	a = installed(t)
	install(t, a.path("other"))
	a.env = append(a.env, "BYSTANDER="+vars)
	if listens {
		f, addr := opened(t, "tcp", "127.0.0.1:0")
		a.env, a.files = append(a.env, "BYSTANDER_LISTENS=1"), []*os.File{f}
		args = append(args, "-addr", addr)
	}
	a.env = append(a.env, "BYSTANDER_ARGS="+strings.Join(args, " "))
	a.start("bystander", "./other")
	return a, func() {
		t.Helper()
		a.signal(a.cmd.Process.Pid, syscall.SIGINT)
		if ev := a.expect("bystander", 0); len(ev.Args) > 0 {
			t.Errorf("the process that has started the app got %q", ev.Args)
		}
	}
}

// TestParent_OfAnotherProgramGetsNoSignal, whatever the variables say that it is. The sockets are as good as a service
// manager's.
func TestParent_OfAnotherProgramGetsNoSignal(t *testing.T) {
	t.Parallel()
	const untold = "the process that has started this one gets no signal"
	for name, c := range map[string]struct {
		vars, args string
		listens    bool
		log        string
	}{
		"systemfd":      {"LISTEN_FDS=1", "", true, ""},
		"no descriptor": {"LISTEN_FDS=0", "", false, ""},
		"endless":       {"ENDLESS_CONTINUE=1", "", true, untold},
		"gracehttp":     {"GRACEFUL=true", "", true, untold},
		"-graceful":     {"", "-graceful", true, untold},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, left := startBystander(t, c.vars, c.listens, strings.Fields(c.args)...)
			first := a.expect("ready", 0)
			if c.log != "" {
				a.expectLog(c.log, 1)
			}
			// An old process is told before the new one can be upgraded.
			last := a.next(first)
			left()
			a.stopAll(last.PID)
		})
	}
}

// TestMaster_OfAnotherProgramGetsNoSignal: neither when the worker makes room, nor when it leaves.
func TestMaster_OfAnotherProgramGetsNoSignal(t *testing.T) {
	t.Parallel()
	t.Run("overseer", func(t *testing.T) {
		t.Parallel()
		a, left := startBystander(t, "OVERSEER_IS_SLAVE=1 OVERSEER_NUM_FDS=1", true)
		a.signal(a.expect("ready", 0).PID, syscall.SIGUSR2)
		a.expectLog("the master can't be told that the listeners are closed", 1)
		left()
		a.expectGone()
	})
	t.Run("start_server", func(t *testing.T) {
		t.Parallel()
		a, left := startBystander(t, "SERVER_STARTER_PORT=127.0.0.1:80=3", true)
		worker := a.expect("ready", 0)
		err := a.call(worker.Addrs[0], "/leave")
		expectError(t, err, "does not keep the sockets")
		left()
		a.stopAll(worker.PID)
	})
}

// TestParent_IsToldThroughAShell: a script that has taken the place of the program starts the next version.
func TestParent_IsToldThroughAShell(t *testing.T) {
	t.Parallel()
	a, old, addrs := startPredecessor(t, "endless", 1)
	install(t, a.path("real"))
	deployScript(t, a, `./real "$@"`)
	a.signal(old.PID, syscall.SIGHUP)
	next := a.expect("ready", 0)
	if next.Gen != 1 {
		t.Errorf("generation %d", next.Gen)
	}
	a.expectLeft(addrs)
	a.expectLog("the old process is gone", 1)
	a.stopAll(next.PID)
}

// playWords makes an Upgrader, and says which arguments it has found.
func playWords() {
	u, err := core.New(core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))))
	check(err)
	emit(event{Event: "words", Args: os.Args[1:]})
	check(u.Stop(context.Background()))
}

// TestStart_WordOfTheProgramsOwnDoesNotCount: without a listener there is no old process, whatever the word.
func TestStart_WordOfTheProgramsOwnDoesNotCount(t *testing.T) {
	t.Parallel()
	for word, env := range map[string]string{"-graceful": "", "--upgrade": "", "GRACEFUL=true": "GRACEFUL=true"} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			var args []string
			if a.env = strings.Fields(env); env == "" {
				args = []string{word}
			}
			a.start("words", "./app", args...)
			if found := a.expect("words", 0).Args; fmt.Sprint(found) != fmt.Sprint(args) {
				t.Errorf("it finds %q", found)
			}
			a.expectLog("does not mean an upgrade", 1)
			a.expectGone()
		})
	}
}

// TestNotify_HelperOfTheServiceIsSilent: a program that a service starts for a purpose of its own says nothing of the
// service, whether it finds the variables or not, and nor does its next generation.
func TestNotify_HelperOfTheServiceIsSilent(t *testing.T) {
	t.Parallel()
	for _, mode := range []core.Mode{core.ModeSelf, core.ModeSupervised} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			m := manage(t, a, []string{
				"SYSTEMD_EXEC_PID=" + itoa(os.Getpid()), // any that lives
				"WATCHDOG_USEC=1000", core.EnvMode + "=" + mode.String(),
			})
			install(t, a.path("other"))
			a.env = []string{"BYSTANDER=" + strings.Join(a.env, " ")}
			a.start("bystander", "./other")
			last := a.next(a.expect("ready", 0))
			a.expectLog("the service manager has not started it", 1)
			a.signal(last.PID, syscall.SIGTERM)
			a.expect("end", 1)
			a.signal(a.cmd.Process.Pid, syscall.SIGINT)
			a.expectGone()
			if got := m.all(); len(got) > 0 {
				t.Errorf("the service manager got %q", got)
			}
		})
	}
}

// TestNotify_ProcessOfAScriptSpeaks: it becomes the main process, in place of a shell that waits for it.
func TestNotify_ProcessOfAScriptSpeaks(t *testing.T) {
	t.Parallel()
	a := installed(t)
	m := manage(t, a, nil)
	a.start("app", "/bin/sh", "-c", `SYSTEMD_EXEC_PID=$$ ./app "$@"; exit $?`, "sh")
	first := a.expect("ready", 0)
	m.expect(serves(first, ""))
	a.stopAll(first.PID)
}

// TestEnvironment_OfAChildHasNothingOfTheService, in no generation. The next one is told by the process before it.
func TestEnvironment_OfAChildHasNothingOfTheService(t *testing.T) {
	t.Parallel()
	a := installed(t)
	m := manage(t, a, []string{"WATCHDOG_USEC=60000000", "APP_COLOR=green"})
	activate(a, "WATCHDOG_PID=$$ LISTEN_PID=1 LISTEN_FDS=1 LISTEN_FDNAMES=web "+core.EnvMode+"=self", nil)
	ev := a.expect("ready", 0)
	for i := range 2 {
		if i > 0 {
			ev = a.next(ev)
		}
		out, err := get(ev.Addrs[0], "/child")
		must(t, err)
		for _, name := range []string{sdnotify.EnvSocket, "WATCHDOG_", "LISTEN_", "GRACEX_"} {
			if strings.Contains(out, name) {
				t.Errorf("a child finds %s: %s", name, out)
			}
		}
		if !strings.Contains(out, "APP_COLOR=green") {
			t.Errorf("a child does not find what is the program's: %s", out)
		}
		a.Await("the service manager hears of it", func() bool {
			return slices.ContainsFunc(m.all(), func(s string) bool { return strings.Contains(s, "MAINPID="+itoa(ev.PID)) })
		})
	}
	a.stopAll(ev.PID)
}
