//go:build unix

package core_test

import (
	"bytes"
	"cmp"
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// upgradeTo upgrades the app to a release, and returns the new process when its probation is over.
func (a *app) upgradeTo(release string) event {
	a.t.Helper()
	n := len(a.of("ready"))
	o, err := a.askFor(release)
	must(a.t, err)
	if !o.OK {
		a.t.Fatalf("outcome %+v", o)
	}
	return a.expect("ready", n)
}

// askFor asks for an upgrade to a release.
func (a *app) askFor(release string) (control.Outcome, error) {
	a.t.Helper()
	o, err := control.Dial(a.path("ctl.sock")).Upgrade(a.t.Context(), control.UpgradeOptions{Release: release})
	if err == nil && o.Release != release {
		a.t.Errorf("the outcome is about release %q, and %q was asked for", o.Release, release)
	}
	return o, err
}

// expectNamed checks by what names a process knows its program and its working directory.
func (a *app) expectNamed(ev event, argv0, pwd string) {
	a.t.Helper()
	b, err := os.ReadFile("/proc/" + itoa(ev.PID) + "/cmdline")
	if os.IsNotExist(err) {
		return
	}
	must(a.t, err)
	if name, _, _ := strings.Cut(string(b), "\x00"); name != argv0 {
		a.t.Errorf("generation %d is called %s, want %s", ev.Gen, name, argv0)
	}
	if got := a.variable(ev.PID, "PWD"); got != pwd {
		a.t.Errorf("generation %d has PWD=%s, want %s", ev.Gen, got, pwd)
	}
}

// TestUpgradeTo_StartsTheReleaseOnce: the program of the release runs in the directory of the release. The names of
// both stay, so the next upgrade and a supervisor start what current leads to by then, also if the old releases are gone.
func TestUpgradeTo_StartsTheReleaseOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		argv0, cwd, mode string
		absolute         bool // current
		pwd              bool // a shell has started it
	}{
		"beside the program":      {argv0: "current/app", cwd: "current"},
		"an absolute link":        {argv0: "current/app", cwd: "current", absolute: true},
		"by a link to it":         {argv0: "app", cwd: "current"},
		"by a relative path":      {argv0: "./app", cwd: "current", pwd: true},
		"in another directory":    {argv0: "current/app", cwd: "data"},
		"under a supervisor":      {argv0: "current/app", cwd: "current", mode: "supervised"},
		"supervised, by the link": {argv0: "app", cwd: "data", mode: "supervised"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2", "3")
			target := func(release string) string {
				if tt.absolute {
					return a.path("releases/" + release)
				}
				return "releases/" + release
			}
			a.flip("current", target("1"))
			must(t, os.Symlink("current/app", a.path("app")))
			must(t, os.Mkdir(a.path("data"), 0o755))
			a.cwd = a.path(tt.cwd)
			a.env = []string{core.EnvMode + "=" + cmp.Or(tt.mode, "self"), "APP_CONTROL=" + a.path("ctl.sock")}
			argv0 := a.path(tt.argv0)
			if tt.pwd {
				argv0 = tt.argv0
				a.start("app", "/usr/bin/env", "PWD="+a.cwd, argv0)
			} else {
				a.start("app", argv0)
			}
			expect := func(ev event, release string) {
				t.Helper()
				if tt.cwd == "current" {
					a.expectRelease(ev, release, release)
				} else if ev.Release != release || ev.Dir != a.cwd {
					t.Errorf("generation %d: release %s in %s; want %s", ev.Gen, ev.Release, ev.Dir, release)
				}
				if ev.Gen > 0 {
					a.expectNamed(ev, argv0, a.cwd)
				}
			}
			expect(a.expect("ready", 0), "1")
			second := a.upgradeTo("2")
			expect(second, "2")
			a.expect("end", 0)
			third := a.next(second) // current was not switched
			expect(third, "1")
			a.expect("end", 1)
			fourth := a.upgradeTo("3")
			expect(fourth, "3")
			a.expect("end", 2)
			a.flip("current", target("3"))
			must(t, os.RemoveAll(a.path("releases/1")))
			must(t, os.RemoveAll(a.path("releases/2")))
			if tt.mode != "" {
				a.signal(fourth.PID, syscall.SIGKILL)
				fourth = a.expect("ready", 4)
				expect(fourth, "3")
			}
			expect(a.next(fourth), "3")
			if strings.Contains(a.log(), "upgrade: ") {
				t.Errorf("a warning:\n%s", a.log())
			}
		})
	}
}

// TestUpgradeTo_TheReleaseItWasStartedFrom is what was asked for, as by a way back, so nothing warns of a switch that was
// missed.
func TestUpgradeTo_TheReleaseItWasStartedFrom(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2")
	a.flip("current", "releases/1")
	a.cwd = a.path("current")
	a.start("app", a.path("current/app"), "-control", a.path("ctl.sock"))
	a.expect("ready", 0)
	a.flip("current", "releases/2")
	a.expectRelease(a.upgradeTo("1"), "1", "1")
	if strings.Contains(a.log(), "upgrade: ") {
		t.Errorf("a warning:\n%s", a.log())
	}
}

// TestUpgradeTo_ACrashStartsWhatCurrentLeadsTo: the release before, as long as that was not switched.
func TestUpgradeTo_ACrashStartsWhatCurrentLeadsTo(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2")
	a.env = []string{core.EnvMode + "=supervised", "APP_CONTROL=" + a.path("ctl.sock")}
	a.start("app", a.path("current/app"))
	a.expect("ready", 0)
	second := a.upgradeTo("2")
	a.expectRelease(second, "2", "2")
	a.expect("end", 0)
	a.signal(second.PID, syscall.SIGKILL)
	a.expectRelease(a.expect("ready", 2), "1", "1")
}

// TestUpgradeTo_RolledBackChangesNothing for the process that serves again.
func TestUpgradeTo_RolledBackChangesNothing(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2")
	a.cwd = a.dir
	a.env = []string{"APP_CONTROL=" + a.path("ctl.sock"), "APP_PROBATION=4m"}
	a.start("app", a.path("current/app"))
	first := a.expect("ready", 0)
	a.setMode("rejects")
	o, err := a.askFor("2")
	must(t, err)
	if o.Kind != control.KindRolledBack {
		t.Errorf("outcome %+v", o)
	}
	a.expect("end", 0) // it can have accepted one more connection
	expectServes(t, first.Addrs[0], first.PID)
	a.setMode("")
	if ev := a.next(first); ev.Release != "1" {
		t.Errorf("release %s comes after the rollback", ev.Release)
	}
}

// TestUpgradeTo_OfAProgramThatSaysNothingOfItself, so that it is not told the name of its directory: it finds that by
// $PWD.
func TestUpgradeTo_OfAProgramThatSaysNothingOfItself(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2", "3")
	self, err := os.Executable()
	must(t, err)
	program, err := os.ReadFile(self)
	must(t, err)
	file, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Skip(err)
	}
	at := file.Section(".go.buildinfo").Offset
	clear(program[at : at+8])
	for _, r := range []string{"1", "2", "3"} {
		must(t, os.Remove(a.path("releases/"+r+"/app")))
		must(t, writeProgram(a.path("releases/"+r+"/app"), string(program)))
	}
	a.env = []string{core.EnvMode + "=self", "APP_CONTROL=" + a.path("ctl.sock")}
	a.start("app", "/usr/bin/env", "PWD="+a.cwd, "./app")
	a.expect("ready", 0)
	second := a.upgradeTo("2")
	a.expectRelease(second, "2", "2")
	a.expect("end", 0)
	a.flip("current", "releases/3")
	must(t, os.RemoveAll(a.path("releases/1")))
	a.expectRelease(a.next(second), "3", "3")
}

// TestUpgradeTo_Refuses what is no release, by a name alone, and starts nothing.
func TestUpgradeTo_Refuses(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2", "script", "data", "empty")
	must(t, os.Remove(a.path("releases/script/app")))
	must(t, writeProgram(a.path("releases/script/app"), "#!/bin/sh\nexec "+a.path("app")+` "$@"`))
	must(t, os.Remove(a.path("releases/data/app")))
	must(t, os.WriteFile(a.path("releases/data/app"), []byte("data"), 0o644))
	must(t, os.Remove(a.path("releases/empty/app")))
	must(t, os.WriteFile(a.path("releases/file"), nil, 0o644))
	must(t, os.Symlink(a.path("releases/2"), a.path("releases/link")))
	a.env = []string{"APP_CONTROL=" + a.path("ctl.sock")}
	a.start("app", a.path("current/app"))
	first := a.expect("ready", 0)
	for release, want := range map[string]string{
		"..": `".." is no name of a release`, ".": `"." is no name`, "a/b": `"a/b" is no name`,
		"../releases/2": "is no name", "2/": "is no name", "2\x00": `"2\x00" is no name`, strings.Repeat("x", 256): "is no name",
		"none": `"none" is no directory in ` + a.path("releases") + "; put the release there", "file": "is no directory", "link": "is no directory",
	} {
		_, err := a.askFor(release)
		expectError(t, err, control.ErrNoRelease.Error()+": ", want)
		if control.ExitStatus(err) != control.ExitRefused {
			t.Errorf("%q: exit status %d", release, control.ExitStatus(err))
		}
	}
	_, err := a.askFor("script")
	expectError(t, err, control.ErrRefused.Error(), "has its own path as $0", "switch current first")
	for release, want := range map[string]string{
		"data":  a.path("releases/data/app") + " could not be started: it is not executable; chmod +x it",
		"empty": a.path("releases/empty/app") + " could not be started: there is no such file",
	} {
		o, err := a.askFor(release)
		must(t, err)
		if o.OK || o.Kind != control.KindFailed || o.NewPID != 0 {
			t.Errorf("%s: %+v", release, o)
		}
		expectText(t, o.Reason, want)
	}
	if body, err := get(a.path("ctl.sock"), "/v1/upgrade-to?release=2"); err != nil || !strings.Contains(body, "wants POST") {
		t.Errorf("GET: %s, %v", body, err)
	}
	expectServes(t, first.Addrs[0], first.PID)
	if n := len(a.of("ready")); n != 1 {
		t.Errorf("%d processes became ready", n)
	}
}

// TestUpgradeTo_NeedsALayout: the program was started through a symlink current beside releases.
func TestUpgradeTo_NeedsALayout(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ argv0, target string }{
		"a plain file":                 {"tool", "releases/1"},
		"the release itself":           {"releases/1/app", "releases/1"},
		"current leads elsewhere":      {"current/app", "old/1"},
		"current is the release above": {"current/1/app", "releases"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2")
			install(t, a.path("tool"))
			install(t, a.path("old/1/app"))
			a.flip("current", tt.target)
			a.cwd = a.dir
			a.env = []string{"APP_CONTROL=" + a.path("ctl.sock")}
			a.start("app", a.path(tt.argv0))
			first := a.expect("ready", 0)
			_, err := a.askFor("2")
			expectError(t, err, control.ErrNoRelease.Error(), filepath.Join(a.dir, tt.argv0)+", from which", "start the program as DIR/current/PROGRAM")
			expectServes(t, first.Addrs[0], first.PID)
		})
	}
}

// TestUpgradeTo_IsTheMastersUnderOne.
func TestUpgradeTo_IsTheMastersUnderOne(t *testing.T) {
	t.Parallel()
	a, worker, addrs := startWorker(t, "starter", syscall.SIGHUP, "APP_CONTROL=ctl.sock")
	_, err := a.askFor("2")
	expectError(t, err, control.ErrRefused.Error(), "starts the new versions")
	expectServes(t, addrs[0], worker.PID)
	a.signal(a.PID(), syscall.SIGTERM)
	a.expectGone()
}

// TestControlStatus_NamesReleases of each process by its file, also when current leads elsewhere and the directory is
// gone, and the one that the next start gets.
func TestControlStatus_NamesReleases(t *testing.T) {
	t.Parallel()
	needsProc(t)
	a := released(t, "app", "1", "2")
	a.env = []string{core.EnvMode + "=self", "APP_CONTROL=" + a.path("ctl.sock"), "APP_PROBATION=4m"}
	a.start("app", a.path("current/app"))
	first := a.expect("ready", 0)
	c := control.Dial(a.path("ctl.sock"))
	is := func(next string, releases ...string) {
		t.Helper()
		status(t, c, func(st control.Status) bool {
			return st.NextRelease == next && slices.EqualFunc(st.Generations, releases, func(g control.Generation, r string) bool {
				return g.Release == r
			})
		})
	}
	is("1", "1")
	startUpgrade(t, c, control.UpgradeOptions{Release: "2"})
	is("1", "2", "1")
	a.flip("current", "releases/2")
	must(t, os.RemoveAll(a.path("releases/1")))
	is("2", "2", "1")
	a.freeze(first.PID) // it can't say so itself
	is("2", "2", "1")
	a.signal(first.PID, syscall.SIGCONT)
	must(t, c.Rollback(t.Context(), "enough"))
	is("2", "1")
	must(t, os.Remove(a.path("current")))
	must(t, os.Symlink("elsewhere", a.path("current")))
	is("", "1")
}
