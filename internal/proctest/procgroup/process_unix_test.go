//go:build unix

package procgroup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 60 * time.Second

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// script starts a shell. What it has left behind ends with the test.
func script(t *testing.T, text string, out *Output) *Process {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", text)
	if out != nil {
		cmd.Stdout = out
	}
	p, err := Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		if err := p.End(patience); err != nil {
			t.Error(err)
		}
	})
	return p
}

func await(t *testing.T, p *Process, what string, cond func() bool) {
	t.Helper()
	if !p.Wait(time.After(patience), cond) {
		t.Fatalf("%s: no; it wrote %q", what, p.Log)
	}
}

// pidIn waits for a pid that the script writes.
func pidIn(t *testing.T, p *Process) (pid int) {
	t.Helper()
	await(t, p, "a pid", func() bool {
		lines, _ := p.Log.Lines(0)
		if len(lines) > 0 {
			pid, _ = strconv.Atoi(lines[0])
		}
		return pid > 0
	})
	return pid
}

func TestStart_CollectsTheOutputs(t *testing.T) {
	t.Parallel()
	var out Output
	p := script(t, "echo one; echo two >&2; printf three; exit 7", &out)
	<-p.Ended()
	if code := p.Cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit status %d", code)
	}
	if out.String() != "one\nthree" || p.Log.String() != "two\n" {
		t.Errorf("output %q, log %q", &out, p.Log)
	}
	lines, next := out.Lines(0)
	if !slices.Equal(lines, []string{"one", "three"}) || next != len("one\nthree") {
		t.Errorf("lines %q up to %d", lines, next)
	}
	if p.Wait(nil, func() bool { return false }) {
		t.Error("it has waited for nothing with success")
	}
}

func TestOutput_LinesLeavesOutWhatHasNoEnd(t *testing.T) {
	t.Parallel()
	var o Output
	_, _ = o.Write([]byte("one\ntw"))
	lines, next := o.Lines(0)
	if !slices.Equal(lines, []string{"one"}) {
		t.Errorf("%q", lines)
	}
	_, _ = o.Write([]byte("o\n\n"))
	if lines, next = o.Lines(next); !slices.Equal(lines, []string{"two", ""}) || next != 9 {
		t.Errorf("%q up to %d", lines, next)
	}
	if n := o.Count("o"); n != 2 {
		t.Errorf("%d times o", n)
	}
}

func TestStart_FailsWithoutTheProgram(t *testing.T) {
	t.Parallel()
	if _, err := Start(exec.Command(filepath.Join(t.TempDir(), "none"))); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestClose_EndsTheInput(t *testing.T) {
	t.Parallel()
	p := script(t, "cat; echo over", nil)
	p.Close()
	<-p.Ended()
	if p.Log.String() != "over\n" {
		t.Errorf("%q", p.Log)
	}
}

func TestEnd_EndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	p := script(t, "trap '' TERM; sleep 1000 & echo $!; sleep 1000", nil)
	child := pidIn(t, p)
	if !p.Has(child) || !p.Has(p.PID()) {
		t.Errorf("the group does not have %d and %d", child, p.PID())
	}
	must(t, p.End(patience))
	if p.Running() || p.Has(child) || len(p.Live(child)) > 0 {
		t.Errorf("left: %v", p.Members(child))
	}
}

func TestExited_DoesNotWaitForTheOthers(t *testing.T) {
	t.Parallel()
	p := script(t, "sleep 1000 & echo $!", nil)
	<-p.Exited()
	child := pidIn(t, p)
	if !p.Running() || !slices.Contains(p.Live(child), child) {
		t.Errorf("the child is not seen: %v", p.Members(child))
	}
}

func TestEnd_ReportsWhatHasLeftTheGroup(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	p, err := Start(exec.Command("/bin/sh", "-c", "setsid /bin/sh -c 'echo $$; exec sleep 1000' &"))
	must(t, err)
	stray := pidIn(t, p)
	err = p.End(10 * time.Millisecond)
	must(t, syscall.Kill(stray, syscall.SIGKILL))
	if err == nil || !strings.Contains(err.Error(), "its output is still open") {
		t.Error(err)
	}
	<-p.Ended()
}

func TestFreeze_ReturnsWhenTheProcessStandsStill(t *testing.T) {
	t.Parallel()
	p := script(t, "while :; do sleep 0.01; done", nil)
	must(t, p.Freeze(p.PID()))
	if m, _, ok := readStat(procFile(p.PID(), "stat")); runtime.GOOS == "linux" && (!ok || m.State != 'T') {
		t.Errorf("%v", m)
	}
	must(t, p.Thaw(p.PID()))
	must(t, p.Signal(p.PID(), syscall.SIGKILL))
	<-p.Exited()
	for _, err := range []error{p.Freeze(p.PID()), p.Thaw(p.PID()), p.Group.Signal(os.Getpid(), syscall.SIGKILL)} {
		if !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
}

func TestClear_WaitsForOrphans(t *testing.T) {
	if err := AdoptOrphans(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("/bin/sh", "-c", "/bin/sh -c 'sleep 1000 & exec sleep 1000' & exit 7")
	Lead(cmd)
	must(t, cmd.Start())
	g := Group(cmd.Process.Pid)
	var ended []Exit
	for late := time.Now().Add(patience); len(ended) == 0 && time.Now().Before(late); time.Sleep(look) {
		ended = g.Reap()
	}
	if len(ended) != 1 || ended[0].String() != "pid "+strconv.Itoa(int(g))+": exit status 7" {
		t.Errorf("%v", ended)
	}
	if left := g.Clear(patience); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestReadPIDFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pid")
	if n := ReadPIDFile(path); n != 0 {
		t.Errorf("no file: %d", n)
	}
	for text, want := range map[string]int{"": 0, "12\n": 12, "x": 0, "-1": 0, "7 8": 0} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if n := ReadPIDFile(path); n != want {
			t.Errorf("%q: %d, want %d", text, n, want)
		}
	}
}
