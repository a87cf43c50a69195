//go:build unix

package proctest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

const playEnv = "GRACEX_PROCTEST_PROGRAM"

func TestMain(m *testing.M) {
	Play(playEnv, play)
	os.Exit(Main(m, "app"))
}

// play is a program that names itself in a pid file and starts its next generation on SIGUSR2.
func play(string) int {
	upgrade := make(chan os.Signal, 1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	if err := os.WriteFile("pid", []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return 1
	}
	fmt.Println("serves", os.Getpid())
	<-upgrade
	next := exec.Command(os.Args[0])
	next.Stdin, next.Stdout, next.Stderr = os.Stdin, os.Stdout, os.Stderr
	if next.Start() != nil {
		return 1
	}
	return 5
}

func app(t testing.TB) *Program {
	t.Helper()
	dir := t.TempDir()
	Install(t, filepath.Join(dir, "app"))
	cmd := exec.Command("./app")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), playEnv+"=app")
	return Start(t, cmd)
}

// script starts a shell.
func script(t testing.TB, text string) *Program {
	t.Helper()
	return Start(t, exec.Command("/bin/sh", "-c", text))
}

// pidIn waits for a pid that the script writes.
func pidIn(p *Program) (pid int) {
	p.t.Helper()
	p.Await("a pid", func() bool {
		if lines, _ := p.Log.Lines(0); len(lines) > 0 {
			pid, _ = strconv.Atoi(lines[0])
		}
		return pid > 0
	})
	return pid
}

func TestProgram_GenerationsAreFollowed(t *testing.T) {
	t.Parallel()
	p := app(t)
	file := filepath.Join(p.Cmd.Dir, "pid")
	first := p.AwaitPID(file, 0)
	if first != p.PID() {
		t.Errorf("the pid file says %d, want %d", first, p.PID())
	}
	serves := NewEvents(p.Log, func(line string) (string, bool) { return strings.CutPrefix(line, "serves ") })
	p.AwaitLog("serves", 1)
	p.Signal(first, syscall.SIGUSR2)
	second := p.AwaitPID(file, first)
	if status := p.AwaitExit(); status != 5 {
		t.Errorf("exit status %d", status)
	}
	p.Await("the second one says so", func() bool { return len(serves.All()) == 2 })
	if got := serves.Where(func(pid string) bool { return pid == strconv.Itoa(second) }); len(got) != 1 {
		t.Errorf("process %d has not said that it serves: %q", second, serves.All())
	}
	p.Signal(second, syscall.SIGKILL)
	p.AwaitEnd()
}

func TestStart_CollectsTheOutputs(t *testing.T) {
	t.Parallel()
	var out procgroup.Output
	cmd := exec.Command("/bin/sh", "-c", "echo one; echo two >&2; printf three; exit 7")
	cmd.Stdout = &out
	p := Start(t, cmd)
	if code := p.AwaitEnd(); code != 7 {
		t.Errorf("exit status %d", code)
	}
	if !out.Closed() || out.String() != "one\nthree" || p.Log.String() != "two\n" {
		t.Errorf("output %q, log %q", &out, p.Log)
	}
	lines, next := out.Lines(0)
	if !slices.Equal(lines, []string{"one", "three"}) || next != len("one\nthree") {
		t.Errorf("lines %q up to %d", lines, next)
	}
	if p.Until(func() bool { return false }) {
		t.Error("it has waited for nothing with success")
	}
}

func TestStart_FailsWithoutTheProgram(t *testing.T) {
	t.Parallel()
	if _, err := procgroup.Start(exec.Command(filepath.Join(t.TempDir(), "none"))); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestOutput_LinesLeavesOutWhatHasNoEnd(t *testing.T) {
	t.Parallel()
	var o procgroup.Output
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

func TestClose_EndsTheInput(t *testing.T) {
	t.Parallel()
	p := script(t, "cat; echo over")
	p.Close()
	if p.AwaitEnd(); p.Log.String() != "over\n" {
		t.Errorf("%q", p.Log)
	}
}

func TestEnd_EndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	p := script(t, "trap '' TERM; sleep 1000 & echo $!; sleep 1000")
	child := pidIn(p)
	if !p.Has(child) || !p.Has(p.PID()) {
		t.Errorf("the group does not have %d and %d", child, p.PID())
	}
	if err := p.End(Patience); err != nil || p.Running() || p.Has(child) || len(p.Live()) > 0 {
		t.Errorf("left: %v, %v", p.Members(), err)
	}
}

func TestAwaitExit_DoesNotWaitForTheOthers(t *testing.T) {
	t.Parallel()
	p := script(t, "sleep 1000 & echo $!")
	p.AwaitExit()
	if child := pidIn(p); !p.Running() || !p.Has(child) {
		t.Errorf("the child is not seen: %v", p.Members())
	}
}

// What has left the group is known by its environment.
func TestEnd_EndsWhatHasLeftTheGroup(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip(err)
	}
	p := script(t, "setsid /bin/sh -c 'echo $$; exec sleep 1000' &")
	stray := pidIn(p)
	inGroup := procgroup.Group{Leader: p.PID()}.Has(stray)
	if !p.Has(stray) || inGroup || p.Has(os.Getpid()) {
		t.Errorf("process %d is not known for what it is", stray)
	}
	p.Freeze(stray)
	if err := p.End(Patience); err != nil || p.Has(stray) {
		t.Errorf("process %d has not ended: %v", stray, err)
	}
}

func TestEnd_ReportsWhatIsLeft(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip(err)
	}
	p := script(t, "setsid env -i /bin/sh -c 'echo $$; exec sleep 1000' &")
	stray := pidIn(p)
	err := p.End(10 * time.Millisecond)
	_ = syscall.Kill(stray, syscall.SIGKILL)
	if err == nil || !strings.Contains(err.Error(), "its output is closed: false") {
		t.Error(err)
	}
	p.AwaitEnd()
}

func TestFreeze_ReturnsWhenTheProcessStandsStill(t *testing.T) {
	t.Parallel()
	p := script(t, "while :; do sleep 0.01; done")
	p.Freeze(p.PID())
	stopped := func(m procgroup.Member) bool { return m.PID == p.PID() && m.State == 'T' }
	if all := p.Members(); runtime.GOOS == "linux" && !slices.ContainsFunc(all, stopped) {
		t.Errorf("%v", all)
	}
	p.Signal(p.PID(), syscall.SIGCONT)
	p.Signal(p.PID(), syscall.SIGKILL)
	p.AwaitExit()
	for _, err := range []error{p.Process.Freeze(p.PID()), p.Thaw(p.PID())} {
		if !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	}
}

// recorder is a test that fails alone.
type recorder struct {
	testing.TB
	failed bool
	logged string
	ends   []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Failed() bool     { return r.failed }
func (r *recorder) Cleanup(f func()) { r.ends = append(r.ends, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}

func (r *recorder) Logf(format string, args ...any) { r.logged += fmt.Sprintf(format, args...) }

func (r *recorder) end() {
	for len(r.ends) > 0 {
		last := len(r.ends) - 1
		f := r.ends[last]
		r.ends = r.ends[:last]
		f()
	}
}

func TestStart_EndsTheProgramWithItsTest(t *testing.T) {
	t.Parallel()
	for _, failed := range []bool{false, true} {
		r := &recorder{TB: t, failed: failed}
		p := script(r, "sleep 1000 & echo hello; sleep 1000")
		p.AwaitLog("hello", 1)
		r.end()
		if p.Running() || r.failed != failed || strings.Contains(r.logged, "hello") != failed {
			t.Errorf("runs: %t; failed: %t, want %t; logged %q", p.Running(), r.failed, failed, r.logged)
		}
	}
}

func TestBuild_BuildsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, other := filepath.Join(dir, "one"), filepath.Join(dir, "a", "other")
	for _, path := range []string{one, other} {
		Build(t, path, "./testdata/hello", "-trimpath")
		if out, err := exec.Command(path).Output(); err != nil || string(out) != "hello\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
	a, err := os.Stat(one)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.Stat(other); err != nil || !os.SameFile(a, b) {
		t.Errorf("it was built twice: %v", err)
	}
}

func TestFreeAddr_IsGivenOnce(t *testing.T) {
	t.Parallel()
	ended, stop := make(chan struct{}), make(chan struct{})
	go func() { // a fork has a copy of every socket until its exec
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = exec.Command("true").Run()
			}
		}
	}()
	defer func() { close(stop); <-ended }()
	seen := map[string]bool{}
	for range 500 {
		addr := FreeAddr(t)
		ln, err := net.Listen("tcp", addr)
		if err != nil || seen[addr] {
			t.Fatalf("%s: %v", addr, err)
		}
		ln.Close()
		seen[addr] = true
	}
	if _, err := net.Listen("tcp", Occupied(t)); err == nil {
		t.Error("an occupied address can be listened on")
	}
}
