package deploytest

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/proctest"
)

// Process is a program that does not outlive the test.
type Process struct {
	*proctest.Program
	t *testing.T
}

// Start starts cmd, and sends it the signal death when the test ends, or dies.
func Start(t *testing.T, cmd *exec.Cmd, death syscall.Signal) *Process {
	t.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = death
	p := &Process{proctest.Start(t, cmd), t}
	t.Cleanup(func() {
		if p.Running() {
			_ = cmd.Process.Signal(death)
			p.AwaitEnd()
		}
	})
	return p
}

// Signal sends it a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	p.Program.Signal(p.PID(), sig)
}
