package deploytest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Process is a program that does not outlive the test.
type Process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	out   output
	ended chan struct{}
}

// Start starts cmd, and sends it the signal death when the test ends, or dies.
func Start(t *testing.T, cmd *exec.Cmd, death syscall.Signal) *Process {
	t.Helper()
	p := &Process{t: t, name: cmd.Args[0], cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = death
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the process ends (prctl(2),
		// PR_SET_PDEATHSIG), so nothing else may run, and end, on it.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.Running() {
			_ = cmd.Process.Signal(death)
		}
		<-p.ended
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, p.Output())
		}
	})
	return p
}

// PID is its number in the test's namespace.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what it has written so far.
func (p *Process) Output() string { return p.out.String() }

// Running reports whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Signal sends it a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// Exit waits for its end and returns the exit status.
func (p *Process) Exit() int {
	p.t.Helper()
	Await(p.t, p.name+" ends", func() bool { return !p.Running() })
	return p.cmd.ProcessState.ExitCode()
}

// output can be read while it is written.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
