//go:build unix

package core_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// asCommand runs the app's program as a command for it, and returns the exit status and the output.
func (a *app) asCommand(command string, args ...string) (code int, out string) {
	a.t.Helper()
	cmd := exec.Command(a.path("app"), args...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), envProgram+"=app", "PWD="+a.dir, core.EnvCommand+"="+command)
	b, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		a.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestCommand_OfTheProgramReachesTheAppThatRunsIt though its socket is in no default directory and other apps run. It
// does so after the file has been replaced, too.
func TestCommand_OfTheProgramReachesTheAppThatRunsIt(t *testing.T) {
	t.Parallel()
	needsProc(t) // to find the socket
	a := start(t, "app", "-control", "ctl.sock", "-probation", "10ms")
	first := a.expect("ready", 0)
	expect := func(want int, text, command string, args ...string) string {
		t.Helper()
		code, out := a.asCommand(command, args...)
		if code != want {
			t.Errorf("%s %q: exit status %d, want %d: %s", command, args, code, want, out)
		}
		expectText(t, out, text)
		return out
	}
	expect(control.ExitOK, "0    "+itoa(first.PID), "status")
	mend(t, a) // a new file
	expect(control.ExitOK, "\nupgraded process "+itoa(first.PID), "upgrade", "--drain")
	a.setMode("crash")
	var report control.Report
	must(t, json.Unmarshal([]byte(expect(control.ExitFailed, "panic: a bug", "upgrade", "--json")), &report))
	if report.Kind != control.KindFailed || report.ExitStatus != control.ExitFailed {
		t.Errorf("%+v", report)
	}
	expect(control.ExitRefused, "not on probation", "rollback", "--reason", "two words")
	expect(control.ExitRefused, "not on probation", "promote")
	expect(control.ExitOK, `"served":`, "ledger")
	expect(control.ExitOK, "\nupgrades        1 upgraded; 1 failed (exited)\n", "totals")

	// By mistake, for the server.
	expect(control.ExitUsage, core.EnvCommand+"=status makes this process that command; unset it", "status", "-addr", "127.0.0.1:0")
	expect(control.ExitUsage, core.EnvCommand+`="yes" is none of status, upgrade`, "yes")

	serving := a.of("ready")[1]
	a.signal(serving.PID, syscall.SIGSTOP)
	expect(control.ExitTimedOut, "does not answer", "status")
	a.signal(serving.PID, syscall.SIGCONT)

	other := start(t, "app", "-control", "ctl.sock") // another program with this name hangs
	stranger := other.expect("ready", 0).PID
	other.signal(stranger, syscall.SIGSTOP)
	defer other.signal(stranger, syscall.SIGCONT)
	expect(control.ExitOK, "stopped after ", "stop")
	a.expectGone()
	expect(control.ExitNotFound, "that runs the program", "status")
}

// TestCommand_IsNothingForANextProcess and is not inherited, as when an upgrade passes on the environment of a
// command.
func TestCommand_IsNothingForANextProcess(t *testing.T) {
	t.Parallel()
	a, first := serving(t)
	deployWrapper(t, a, core.EnvCommand+"=stop exec ./real \"$@\"\n")
	second := a.next(first)
	expectServes(t, first.Addrs[0], second.PID)
}
