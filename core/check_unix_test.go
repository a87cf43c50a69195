//go:build unix

package core_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// check has a new process checked, of a release if one is named.
func (a *app) check(release string) control.Outcome {
	a.t.Helper()
	o, err := control.Dial(a.path("ctl.sock")).Upgrade(a.t.Context(), control.UpgradeOptions{Release: release, Check: true})
	must(a.t, err)
	return o
}

// TestCheck_StartsAndEndsIt: the new process becomes ready and ends, and nothing else has changed: the old one serves all
// the time, and the next upgrade is none of a pid file, a supervisor or a link that was left behind.
func TestCheck_StartsAndEndsIt(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]string{"alone": "self", "supervised": "supervised"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2")
			a.cwd = a.dir
			a.env = []string{core.EnvMode + "=" + mode, "APP_CONTROL=" + a.path("ctl.sock")}
			a.start("app", a.path("current/app"))
			first := a.expect("ready", 0)
			for i, release := range []string{"", "2"} {
				o := a.check(release)
				if !o.OK || o.Kind != control.KindChecked || o.OldPID != first.PID || o.NewPID == 0 || o.Generation != 0 {
					t.Errorf("outcome %+v", o)
				}
				if want := "serves on"; !strings.Contains(o.String(), want) {
					t.Errorf("%q has no %q", o, want)
				}
				if err := syscall.Kill(o.NewPID, 0); err == nil {
					t.Errorf("process %d is still there", o.NewPID)
				}
				a.expectLog("checked: the new process was ready", i+1)
			}
			expectServes(t, first.Addrs[0], first.PID)
			a.setMode("exit7")
			if o := a.check("2"); o.OK || o.Kind != control.KindFailed {
				t.Errorf("outcome %+v", o)
			}
			a.expectLog("check failed; this process serves on", 1)
			expectServes(t, first.Addrs[0], first.PID)
			a.setMode("")
			second := a.upgradeTo("2")
			expectServes(t, first.Addrs[0], second.PID)
		})
	}
}

// TestNextStart_IsSaid with every outcome that is not good.
func TestNextStart_IsSaid(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2")
	program, err := os.ReadFile(a.path("releases/2/app"))
	must(t, err)
	must(t, os.Remove(a.path("releases/2/app"))) // it is a link to that of 1
	must(t, writeProgram(a.path("releases/2/app"), string(program)))
	a.cwd = a.dir
	a.env = []string{"APP_CONTROL=" + a.path("ctl.sock")}
	a.start("app", a.path("current/app"))
	first := a.expect("ready", 0)
	a.setMode("exit7")
	expect := func(o control.Outcome, words string) {
		t.Helper()
		if o.OK || !strings.Contains(o.NextStart, words) || !strings.Contains(o.After(), words) {
			t.Errorf("%+v: the next start is %q, without %q", o, o.NextStart, words)
		}
	}
	var o control.Outcome
	o, err = a.askFor("2")
	must(t, err)
	expect(o, "which is what this process runs")
	a.flip("current", "releases/2")
	o, err = control.Dial(a.path("ctl.sock")).Upgrade(t.Context(), control.UpgradeOptions{})
	must(t, err)
	expect(o, "which is not what this process runs: put the program back")
	a.expectLog("next_start=", 2)
	a.flip("current", "releases/3")
	o, err = control.Dial(a.path("ctl.sock")).Upgrade(t.Context(), control.UpgradeOptions{})
	must(t, err)
	expect(o, "would fail: there is no ")
	expectServes(t, first.Addrs[0], first.PID)
}
