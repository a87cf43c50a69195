//go:build unix

package proctest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const playEnv = "GRACEX_PROCTEST_PROGRAM"

func TestMain(m *testing.M) {
	os.Exit(Main(m, playEnv, play, "app"))
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
	p.Freeze(first)
	p.Thaw(first)
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
		p := Start(r, exec.Command("/bin/sh", "-c", "sleep 1000 & echo hello; sleep 1000"))
		p.AwaitLog("hello", 1)
		r.end()
		if p.Running() || r.failed != failed || strings.Contains(r.logged, "hello") != failed {
			t.Errorf("runs: %t; failed: %t, want %t; logged %q", p.Running(), r.failed, failed, r.logged)
		}
	}
}

func TestUntil_EndsWithTheProgram(t *testing.T) {
	t.Parallel()
	if p := Start(t, exec.Command("/bin/sh", "-c", "exit 0")); p.Until(func() bool { return false }) {
		t.Error("it has come true")
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
	seen := map[string]bool{}
	for range 20 {
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
