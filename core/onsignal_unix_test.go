//go:build unix

package core_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// hookEvents are what the hooks of the app have said, in order.
func hookEvents(a *app) string {
	var out []string
	for _, ev := range a.all() {
		switch ev.Event {
		case "before", "after":
			out = append(out, ev.Event+" "+ev.Err+" "+ev.Env)
		case "reopen":
			out = append(out, ev.Event)
		}
	}
	return strings.Join(out, "; ")
}

// TestOnSignal: hooks run around what a signal does, in both modes.
func TestOnSignal(t *testing.T) {
	t.Parallel()
	for _, m := range []core.Mode{core.ModeSelf, core.ModeSupervised} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			a := prepare(t)
			a.env = []string{"APP_HOOKS=1", core.EnvMode + "=" + m.String()}
			install(t, filepath.Join(a.dir, "app"))
			a.start("app", "./app")
			first := a.expect("ready", 0)
			to := func() int { return first.PID }
			if m == core.ModeSupervised {
				to = func() int { return a.cmd.Process.Pid }
			}
			a.signal(first.PID, syscall.SIGWINCH) // gracex does nothing with it
			a.expect("after", 0)
			a.signal(to(), syscall.SIGUSR1)
			a.expect("after", 1)
			a.signal(to(), syscall.SIGUSR2)
			first = a.expect("ready", 1)
			a.expect("after", 2)
			a.expect("end", 0)
			a.signal(to(), syscall.SIGTERM)
			a.expectGone()
			got := hookEvents(a)
			for _, want := range []string{
				"before window changed current; after window changed current; before user defined signal 1 current; ",
				"after user defined signal 1 current; before user defined signal 2 current; after user defined signal 2 ",
				"; before terminated current; after terminated sto",
			} {
				if !strings.Contains(strings.ReplaceAll(got, "; reopen", ""), want) {
					t.Errorf("%q is not in %q", want, got)
				}
			}
		})
	}
}

// TestOnSignalContained: a hook that hangs is hurried by a second stop signal, which has none, and one that
// panics is logged; what the signal does is done.
func TestOnSignalContained(t *testing.T) {
	t.Parallel()
	start := func(mode string) (*app, event) {
		a := prepare(t)
		a.env = []string{"APP_HOOKS=1"}
		a.setMode(mode)
		install(t, filepath.Join(a.dir, "app"))
		a.start("app", "./app")
		return a, a.expect("ready", 0)
	}
	a, first := start("slow")
	a.signal(first.PID, syscall.SIGTERM)
	a.expect("before", 0)
	if l := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); l.State != core.StateCurrent {
		t.Errorf("state %v while the hook runs", l.State)
	}
	a.signal(first.PID, syscall.SIGTERM)
	a.expect("end", 0)
	a.setMode("")
	a.expectGone()
	if got := hookEvents(a); strings.Count(got, "before") != 1 {
		t.Errorf("hooks: %s", got)
	}

	a, first = start("lingering") // longer than the drain
	a.signal(first.PID, syscall.SIGTERM)
	a.expectGone()
	if got := hookEvents(a); !strings.Contains(got, "after terminated") {
		t.Errorf("the process ended before its hooks: %s", got)
	}

	a, first = start("panicking")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expectLog("a bug in a hook", 1)
	next := a.expect("ready", 1)
	a.signal(next.PID, syscall.SIGTERM)
	a.expectGone()
}

// TestOnSignalBadInput: a signal that can't be caught.
func TestOnSignalBadInput(t *testing.T) {
	if _, err := core.New(core.OnSignal(syscall.SIGKILL, func() {}, nil)); err == nil || !strings.Contains(err.Error(), "killed can't be caught") {
		t.Error(err)
	}
}
