//go:build unix

package core_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// upgradingBeforeNew is what a program's main would hear.
var upgradingBeforeNew = core.Upgrading()

// changedEnvironment is what an app does for WithEnvironment.
func changedEnvironment(how string, old []string) []string {
	switch how {
	case "invalid":
		return append(old, "APP_COLOR")
	case "panic":
		panic("a bug in a hook")
	}
	old = slices.DeleteFunc(old, func(s string) bool { return strings.HasPrefix(s, "APP_MARK=") })
	return append(old, "APP_COLOR=of the hook", wire.EnvHandover+"=1:9:1")
}

// released returns an app with releases that hold program, and a symlink current to the first.
func released(t *testing.T, program string, releases ...string) *app {
	t.Helper()
	a := prepare(t)
	a.dir, _ = filepath.EvalSymlinks(a.dir)
	for _, r := range releases {
		install(t, a.path("releases/"+r+"/"+program))
	}
	a.flip("current", "releases/"+releases[0])
	a.cwd = a.path("current")
	return a
}

// flip makes a symlink lead to target, as a deployment does.
func (a *app) flip(name, target string) {
	a.t.Helper()
	must(a.t, os.Symlink(target, a.path("flip")))
	must(a.t, os.Rename(a.path("flip"), a.path(name)))
}

// expectRelease checks which release's program runs in which release's directory.
func (a *app) expectRelease(ev event, release, dir string) {
	a.t.Helper()
	where, err := filepath.EvalSymlinks(ev.Dir)
	must(a.t, err)
	exe, err := filepath.EvalSymlinks(a.path("releases/" + dir))
	must(a.t, err)
	if ev.Release != release || where != exe {
		a.t.Errorf("generation %d: the program of release %s in %s; want %s in %s", ev.Gen, ev.Release, where, release, exe)
	}
}

// TestWorkingDirectory_IsOfTheReleaseThatRuns where a service manager sets it and no $PWD, also when old releases
// are removed, and when a supervisor starts another process after a crash.
func TestWorkingDirectory_IsOfTheReleaseThatRuns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		program, argv0, mode string
	}{
		"beside the program":           {"app", "current/app", "self"},
		"above the program":            {"bin/app", "current/bin/app", "self"},
		"behind a symlink to the file": {"app", "app", "self"},
		"under a supervisor":           {"app", "current/app", "supervised"},
		"above it, under a supervisor": {"bin/app", "current/bin/app", "supervised"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, tt.program, "1", "2", "3", "4")
			if tt.argv0 == "app" {
				must(t, os.Symlink("current/app", a.path("app")))
			}
			base := func(ev event) event {
				if strings.HasPrefix(tt.program, "bin/") {
					ev.Release = filepath.Base(filepath.Dir(filepath.Dir(a.executable(ev.PID))))
				}
				return ev
			}
			if strings.HasPrefix(tt.program, "bin/") {
				needsProc(t)
			}
			a.env = []string{core.EnvMode + "=" + tt.mode}
			a.start("app", a.path(tt.argv0))
			ev := a.expect("ready", 0)
			for i, release := range []string{"2", "3"} {
				a.flip("current", "releases/"+release)
				ev = a.next(ev)
				a.expectRelease(base(ev), release, release)
				a.expect("end", i)
				must(t, os.RemoveAll(a.path("releases/"+itoa(i+1))))
			}
			if tt.mode == "supervised" {
				a.expectLog("msg=upgraded", 2)
				a.flip("current", "releases/4")
				must(t, os.RemoveAll(a.path("releases/3")))
				a.signal(ev.PID, syscall.SIGKILL)
				ev = a.expect("ready", 3)
				a.expectRelease(base(ev), "4", "4")
			}
			if strings.Contains(a.log(), "upgrade: ") {
				t.Errorf("a warning:\n%s", a.log())
			}
		})
	}
}

// executable is the file that a process runs.
func (a *app) executable(pid int) string {
	a.t.Helper()
	path, err := os.Readlink("/proc/" + itoa(pid) + "/exe")
	must(a.t, err)
	return path
}

// TestWorkingDirectory_GoneDoesNotFailAnAbsoluteProgram: the log says where the new process is started instead.
func TestWorkingDirectory_GoneDoesNotFailAnAbsoluteProgram(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		argv0, cwd, want string
		link             string // that is flipped
		to               string
	}{
		"its symlink is followed":      {"tool", "releases/1", "releases/2", "current", "releases/2"},
		"the program's place is taken": {"bin", "releases/1", "releases/2", "bin", "releases/2/app"},
		"else the root":                {"tool", "data", "/", "", ""},
		"of a file in its place":       {"tool", "data", "/", "data", "tool"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2")
			install(t, a.path("tool"))
			must(t, os.Symlink("releases/1/app", a.path("bin")))
			must(t, os.Mkdir(a.path("data"), 0o755))
			a.cwd = a.path(tt.cwd)
			if tt.link == "bin" {
				must(t, os.Remove(a.path("current"))) // or that is followed
			}
			a.start("app", a.path(tt.argv0))
			first := a.expect("ready", 0)
			must(t, os.RemoveAll(a.cwd))
			if tt.link != "" {
				a.flip(tt.link, tt.to)
			}
			second := a.next(first)
			want := tt.want
			if want != "/" {
				want = a.path(want)
			}
			if where, err := filepath.EvalSymlinks(second.Dir); err != nil || where != want {
				t.Errorf("the new process is in %s, %v; want %s", second.Dir, err, want)
			}
			a.expectLog("the working directory "+a.cwd+" is gone, so the new process is started in ", 1)
			a.next(second) // nothing is gone any more
		})
	}
}

// TestWorkingDirectory_GoneFailsWhatNeedsIt with the remedy.
func TestWorkingDirectory_GoneFailsWhatNeedsIt(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"relative program": {"./app"}, "WithWorkingDirectory": {"", "-workdir"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2")
			a.cwd = a.path("releases/1")
			argv0 := args[0]
			if argv0 == "" {
				install(t, a.path("tool"))
				argv0, args = a.path("tool"), append(args, a.cwd)
			}
			a.start("app", argv0, args[1:]...)
			first := a.expect("ready", 0)
			must(t, os.RemoveAll(a.cwd))
			expectError(t, a.upgrade(first.Addrs[0]), "the working directory "+a.cwd+" is gone; put it back", "core.WithWorkingDirectory")
			expectServes(t, first.Addrs[0], first.PID)
		})
	}
}

// TestWithWorkingDirectory_IsTheNextProcessesDirectory and a relative program is found there.
func TestWithWorkingDirectory_IsTheNextProcessesDirectory(t *testing.T) {
	t.Parallel()
	a := released(t, "app", "1", "2", "3")
	a.env = []string{core.EnvMode + "=supervised"}
	a.start("app", "./app", "-workdir", a.path("current"))
	ev := a.expect("ready", 0)
	a.flip("current", "releases/2")
	must(t, os.RemoveAll(a.path("releases/1")))
	ev = a.next(ev)
	a.expectRelease(ev, "2", "2")
	a.expectLog("msg=\"generation ended\"", 1) // else the first one serves again
	a.flip("current", "releases/3")
	a.signal(ev.PID, syscall.SIGKILL)
	a.expectRelease(a.expect("ready", 2), "3", "3")

	core.Alone(t)
	_, err := core.New(core.WithWorkingDirectory("current"))
	expectError(t, err, `WithWorkingDirectory("current")`, "absolute")
}

// TestUpgrade_WarnsOfHalfADeployment in the log and to those who follow it, where the symlink that was switched is
// not what the program, or its directory, is reached by.
func TestUpgrade_WarnsOfHalfADeployment(t *testing.T) {
	t.Parallel()
	const link = ", which led there at the start, leads to "
	for name, tt := range map[string]struct {
		argv0, cwd string
		flip       [2]string
		warning    []string
	}{
		"the same program": {"./app", "current", [2]string{"current", "releases/2"},
			[]string{"the program is the same file as before, ", "/releases/1/app", "/current" + link, "start the program as ", "/current/app"}},
		"the same directory": {"tool", "current", [2]string{"current", "releases/2"},
			[]string{"the working directory is ", "/releases/1 as before", "/current" + link, "core.WithWorkingDirectory(", "/current"}},
		"program and directory of two releases": {"bin", "releases/1", [2]string{"bin", "releases/2/app"},
			[]string{"the program is ", "/releases/2/app and the working directory ", "/releases/1, "}},
		"another program at its place": {"./app", "current", [2]string{"current", "releases/2"},
			[]string{"the working directory is ", "/releases/1 as before", "core.WithWorkingDirectory("}},
		"nothing has changed":  {"./app", "current", [2]string{}, nil},
		"another link":         {"./app", "current", [2]string{"previous", "releases/2"}, nil},
		"the whole deployment": {"current/app", "current", [2]string{"current", "releases/2"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := released(t, "app", "1", "2")
			install(t, a.path("tool"))
			must(t, os.Symlink("releases/1/app", a.path("bin")))
			must(t, os.Symlink("releases/2", a.path("previous")))
			a.cwd = a.path(tt.cwd)
			argv0 := tt.argv0
			if !strings.HasPrefix(argv0, "./") {
				argv0 = a.path(argv0)
			}
			if tt.flip[0] == "bin" {
				must(t, os.Remove(a.path("current"))) // or that is named
			}
			a.start("app", argv0, "-control", a.path("ctl.sock"))
			a.expect("ready", 0)
			if tt.flip[0] != "" {
				a.flip(tt.flip[0], tt.flip[1])
			}
			if name == "another program at its place" {
				must(t, writeProgram(a.path("new"), "#!/bin/sh\nexec "+a.path("tool")+` "$@"`))
				must(t, os.Rename(a.path("new"), a.path("releases/1/app")))
			}
			warnings := upgradeWith(t, a, control.StartOptions{})
			if tt.warning == nil {
				if len(warnings) != 0 || strings.Contains(a.log(), "upgrade: ") {
					t.Errorf("warnings %q", warnings)
				}
				return
			}
			if len(warnings) != 1 {
				t.Fatalf("warnings %q, want one", warnings)
			}
			expectText(t, warnings[0], tt.warning...)
			a.Await("the log has it, too", func() bool {
				log := strings.ReplaceAll(a.log(), `\"`, `"`)
				return strings.Contains(log, "level=WARN") && strings.Contains(log, warnings[0])
			})
		})
	}
}

// upgradeWith upgrades the app by its control socket, which is to work, and returns the warnings.
func upgradeWith(t *testing.T, a *app, start control.StartOptions) (warnings []string) {
	t.Helper()
	o, err := control.Dial(a.path("ctl.sock")).Upgrade(t.Context(), control.UpgradeOptions{Start: start, Events: func(e control.Event) {
		if e.Step == control.StepWarning {
			warnings = append(warnings, e.Text)
		}
	}})
	must(t, err)
	if !o.OK {
		t.Fatalf("outcome %+v", o)
	}
	return warnings
}

// expectStart checks what a process was started with.
func expectStart(t *testing.T, ev event, color string, args ...string) {
	t.Helper()
	if ev.Env != color || !slices.Equal(ev.Args, args) {
		t.Errorf("generation %d: APP_COLOR=%q and arguments %q; want %q and %q", ev.Gen, ev.Env, ev.Args, color, args)
	}
}

// TestControlUpgrade_ChangesEnvironmentAndArguments for the upgrades after it, too, and for a supervisor after a
// crash. After a rollback they are as they were.
func TestControlUpgrade_ChangesEnvironmentAndArguments(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"self", "supervised"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			a.env = []string{"APP_COLOR=green", "APP_SIZE=L", core.EnvMode + "=" + mode, "APP_CONTROL=ctl.sock", "APP_PROBATION=1s"}
			a.start("app", "./app", "old")
			expectStart(t, a.expect("ready", 0), "green", "old")
			n := 0
			next := func() event {
				n++
				return a.expect("ready", n)
			}
			given := append(os.Environ(), envProgram+"=app", "APP_CONTROL=ctl.sock", "APP_PROBATION=1s", "APP_COLOR=blue",
				wire.EnvHandover+"=1:9:1", "PWD=/", "NOTIFY_SOCKET=/nowhere")
			upgradeWith(t, a, control.StartOptions{Env: given, Args: []string{"-drain", "9s"}})
			ev := next()
			expectStart(t, ev, "blue", "-drain", "9s")
			if ev.Dir == "/" {
				t.Error("PWD was taken from the caller")
			}
			upgradeWith(t, a, control.StartOptions{})
			expectStart(t, next(), "blue", "-drain", "9s")
			upgradeWith(t, a, control.StartOptions{SetEnv: []string{"APP_COLOR=pink", "APP_COLOR=red"}})
			ev = next()
			expectStart(t, ev, "red", "-drain", "9s")

			a.setMode("rejects")
			o, err := control.Dial(a.path("ctl.sock")).Upgrade(t.Context(), control.UpgradeOptions{
				Start: control.StartOptions{SetEnv: []string{"APP_COLOR=bad"}, Args: []string{}}})
			if err != nil || o.Kind != control.KindRolledBack {
				t.Fatalf("%+v, %v", o, err)
			}
			expectStart(t, next(), "bad")
			a.setMode("")
			if mode == "supervised" {
				a.expect("end", 3)
				a.signal(ev.PID, syscall.SIGKILL)
				ev = next()
				expectStart(t, ev, "red", "-drain", "9s")
				if ev.Upgrading {
					t.Error("a worker that is started after a crash takes itself for an upgrade's")
				}
			}
			upgradeWith(t, a, control.StartOptions{Args: []string{}})
			expectStart(t, next(), "red")
			if v := a.variable(a.expect("ready", n).PID, "APP_SIZE"); v != "" {
				t.Errorf("APP_SIZE=%s is not in the environment that was given", v)
			}
		})
	}
}

// variable is what a process was started with, where the system says it.
func (a *app) variable(pid int, name string) string {
	b, _ := os.ReadFile("/proc/" + itoa(pid) + "/environ")
	for _, s := range strings.Split(string(b), "\x00") {
		if v, ok := strings.CutPrefix(s, name+"="); ok {
			return v
		}
	}
	return ""
}

// TestControlUpgrade_RefusesWhatNoProcessCanHave and the app serves on.
func TestControlUpgrade_RefusesWhatNoProcessCanHave(t *testing.T) {
	t.Parallel()
	_, c, first := controlled(t)
	for text, start := range map[string]control.StartOptions{
		`"APP_COLOR" is not NAME=value`:    {Env: []string{"APP_COLOR"}},
		`"=x" is not NAME=value`:           {SetEnv: []string{"=x"}},
		`the variable "A" has a zero byte`: {SetEnv: []string{"A=\x00"}},
		"an argument has a zero byte":      {Args: []string{"\x00"}},
		`the variable "A" is not UTF-8`:    {Env: []string{"A=\xff"}},
		`the argument "\xff" is not UTF-8`: {Args: []string{"\xff"}},
		"compare_env excludes env":         {Env: []string{"A=1"}, CompareEnv: []string{"A=1"}},
	} {
		if _, err := c.Upgrade(t.Context(), control.UpgradeOptions{Start: start}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("Upgrade = %v, want an error with %s", err, text)
		}
	}
	large := control.StartOptions{SetEnv: []string{"A=1", "A=" + strings.Repeat("x", 1<<20)}}
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Start: large})
	must(t, err)
	if o.Kind != control.KindFailed {
		t.Errorf("outcome %+v", o)
	}
	expectText(t, o.Reason, "arguments and environment are too large", "pass a large value in a file")
	expectServes(t, first.Addrs[0], first.PID)
}

// TestControlUpgrade_WarnsOfAChangedUnit if the caller is started by systemd for the same run of the unit. The
// warning names the variables, and no values.
func TestControlUpgrade_WarnsOfAChangedUnit(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{"APP_COLOR=green", "APP_SIZE=L", "INVOCATION_ID=7", "APP_CONTROL=ctl.sock"}
	a.start("app", "./app")
	a.expect("ready", 0)
	unit := []string{"INVOCATION_ID=7", "APP_COLOR=secret", "APP_NEW=secret", "SHLVL=9", "NOTIFY_SOCKET=/other", "PWD=/"}
	for want, given := range map[string][]string{
		"(APP_COLOR, APP_NEW)": unit,
		"":                     {"INVOCATION_ID=7", "APP_COLOR=green"},
		" ":                    {"INVOCATION_ID=8", "APP_COLOR=blue"},
		"  ":                   {"APP_COLOR=blue"},
	} {
		warnings := upgradeWith(t, a, control.StartOptions{CompareEnv: given})
		want = strings.TrimSpace(want)
		if want == "" && len(warnings) == 0 {
			continue
		}
		if want == "" || len(warnings) != 1 {
			t.Errorf("%q: warnings %q, want %q", given, warnings, want)
			continue
		}
		expectText(t, warnings[0], want, "gracex upgrade --env")
		if strings.Contains(warnings[0]+a.log(), "secret") {
			t.Error("a value is in the warning or in the log")
		}
	}
}

// TestWithEnvironment_MakesTheNextProcesses, but not gracex's own variables.
func TestWithEnvironment_MakesTheNextProcesses(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{"APP_COLOR=green", "APP_MARK=1", "APP_ENVIRONMENT=change", "APP_CONTROL=ctl.sock"}
	a.start("app", "./app")
	first := a.expect("ready", 0)
	if first.Upgrading {
		t.Error("the first process takes itself for an upgrade's")
	}
	second := a.next(first)
	expectStart(t, second, "of the hook")
	if mark := a.variable(second.PID, "APP_MARK"); mark != "" {
		t.Errorf("APP_MARK=%s in the new process", mark)
	}
	if !second.Upgrading {
		t.Error("the new process does not know before New that an upgrade has started it")
	}
	upgradeWith(t, a, control.StartOptions{SetEnv: []string{"APP_ENVIRONMENT=invalid"}})
	ev := a.expect("ready", 2)
	expectError(t, a.upgrade(ev.Addrs[0]), "vetoed", "WithEnvironment", `"APP_COLOR" is not NAME=value`)
	expectServes(t, ev.Addrs[0], ev.PID)
}
