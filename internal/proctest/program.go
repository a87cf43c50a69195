package proctest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// Patience bounds every wait. Nothing that works comes near it.
const Patience = 60 * time.Second

// dumpTime is how long the processes may take to write where their goroutines are.
const dumpTime = 10 * time.Second

// look is how often it is asked for what is waited for.
const look = 2 * time.Millisecond

// Program is a program under test, in all its generations.
type Program struct {
	*procgroup.Process
	t testing.TB
}

// Start is [procgroup.Start] for a test. When the test ends, so do the program's processes. One that can't be ended
// fails the test. A test that has failed shows what they wrote to Log.
func Start(t testing.TB, cmd *exec.Cmd) *Program {
	t.Helper()
	note(cmd.Env)
	p, err := procgroup.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(Patience); err != nil {
			t.Errorf("%s outlives its test: %v", cmd.Args[0], err)
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", cmd.Args[0], p.Log)
		}
	})
	return &Program{p, t}
}

// Until waits until cond holds, and reports false if it does not when all processes have ended, or in time.
func (p *Program) Until(cond func() bool) bool {
	for late := time.Now().Add(Patience); ; time.Sleep(look) {
		over := !p.Running() || time.Now().After(late)
		if cond() {
			return true
		}
		if over {
			return false
		}
	}
}

// Await is Until where cond has to hold.
func (p *Program) Await(what string, cond func() bool) {
	p.t.Helper()
	switch {
	case p.Until(cond):
	case p.Running():
		p.Dump()
		p.t.Fatalf("not within %v: %s", Patience, what)
	default:
		p.t.Fatalf("every process has ended before: %s", what)
	}
}

// AwaitLog waits until the text was written n times.
func (p *Program) AwaitLog(text string, n int) {
	p.t.Helper()
	if !p.Until(func() bool { return p.Log.Count(text) >= n }) {
		count := p.Log.Count(text)
		p.Dump()
		p.t.Fatalf("%q was written %d times, want %d", text, count, n)
	}
}

// AwaitPID waits until the pid file names a process of the program other than the old one.
func (p *Program) AwaitPID(path string, old int) (pid int) {
	p.t.Helper()
	p.Await("the pid file names another process", func() bool {
		pid = procgroup.ReadPIDFile(path)
		return pid != 0 && pid != old && p.Has(pid)
	})
	return pid
}

// AwaitExit waits for the end of the process that was started, and returns its exit status: -1 after a signal.
func (p *Program) AwaitExit() (status int) {
	p.t.Helper()
	return p.await(p.Exited())
}

// AwaitEnd is AwaitExit, and waits for the end of every other process.
func (p *Program) AwaitEnd() (status int) {
	p.t.Helper()
	return p.await(p.Ended())
}

func (p *Program) await(end <-chan struct{}) int {
	p.t.Helper()
	select {
	case <-end:
	case <-time.After(Patience):
		live := p.Live()
		p.Dump()
		p.t.Fatalf("it does not end: %v", live)
	}
	return p.Cmd.ProcessState.ExitCode()
}

// Dump ends the processes, which have kept the test waiting, so that each writes to Log where its goroutines are. One
// that stands still writes nothing.
func (p *Program) Dump() {
	for _, pid := range p.Live() {
		_ = p.Process.Signal(pid, syscall.SIGABRT)
	}
	select {
	case <-p.Ended():
	case <-time.After(dumpTime):
	}
}

// Signal sends a signal to a process of the program.
func (p *Program) Signal(pid int, sig os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(pid, sig); err != nil {
		p.t.Fatal(err)
	}
}

// Freeze stops a process of the program, and returns when it stands still.
func (p *Program) Freeze(pid int) {
	p.t.Helper()
	if err := p.Process.Freeze(pid); err != nil {
		p.t.Fatal(err)
	}
}

// Await waits until cond holds.
func Await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for late := time.Now().Add(Patience); !cond(); time.Sleep(look) {
		if time.Now().After(late) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}
