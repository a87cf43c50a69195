//go:build unix

package core_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// hookEvents are what the hooks of the app have said, in order.
func hookEvents(a *app) string {
	var out []string
	for _, ev := range a.events.Where(func(ev event) bool { return ev.Event == "before" || ev.Event == "after" }) {
		out = append(out, ev.Event+" "+ev.Err+" "+ev.Env)
	}
	return strings.Join(out, "; ")
}

func TestOnSignal_RunsAroundWhatTheSignalDoes(t *testing.T) {
	t.Parallel()
	for _, m := range []core.Mode{core.ModeSelf, core.ModeSupervised} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			a, serves := startEnv(t, []string{"APP_HOOKS=1", core.EnvMode + "=" + m.String()})
			signal := func(sig syscall.Signal) {
				to := serves.PID
				if m == core.ModeSupervised {
					to = a.cmd.Process.Pid
				}
				a.signal(to, sig)
			}
			a.signal(serves.PID, syscall.SIGWINCH) // gracex does nothing with it
			a.expect("after", 0)
			signal(syscall.SIGUSR1)
			a.expect("after", 1)
			signal(syscall.SIGUSR2)
			serves = a.expect("ready", 1)
			a.expect("after", 2)
			a.expect("end", 0)
			signal(syscall.SIGTERM)
			a.expectGone()
			expectText(t, hookEvents(a),
				"before window changed current; after window changed current; before user defined signal 1 current; ",
				"after user defined signal 1 current; before user defined signal 2 current; after user defined signal 2 ",
				"; before terminated current; after terminated sto")
		})
	}
}

func TestOnSignal_BadHookDoesNotStopTheSignal(t *testing.T) {
	t.Parallel()
	hooked := func(t *testing.T, mode string) (*app, event) {
		t.Parallel()
		a, first := startEnv(t, []string{"APP_HOOKS=1"})
		a.setMode(mode)
		return a, first
	}
	t.Run("one that hangs is hurried by a second stop signal, which has none", func(t *testing.T) {
		a, first := hooked(t, "slow")
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
	})
	t.Run("one that is longer than the drain is waited for", func(t *testing.T) {
		a, first := hooked(t, "lingering")
		a.stopAll(first.PID)
		expectText(t, hookEvents(a), "after terminated")
	})
	t.Run("one that panics is logged", func(t *testing.T) {
		a, first := hooked(t, "panicking")
		a.signal(first.PID, syscall.SIGUSR2)
		a.expectLog("a bug in a hook", 1)
		a.stopAll(a.expect("ready", 1).PID)
	})
}

func TestOnSignal_RefusesASignalThatCannotBeCaught(t *testing.T) {
	_, err := core.New(core.OnSignal(syscall.SIGKILL, func() {}, nil))
	expectError(t, err, "killed can't be caught")
}
