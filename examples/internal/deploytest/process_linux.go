package deploytest

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
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

// AwaitSupervisor waits until nothing of the program that is called name is left in its first process, which only
// supervises then. A SIGHUP in the moment of its execve can be lost (docs/supervise.md). That the process has its name
// again says that it handles signals.
func AwaitSupervisor(t *testing.T, pid int, name string) {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(pid)
	proctest.Await(t, "the first process is the supervisor alone", func() bool {
		env, _ := os.ReadFile(dir + "/environ")
		now, _ := os.ReadFile(dir + "/comm")
		return Supervises(string(env)) && string(now) == name+"\n"
	})
}

// Supervises reports whether this is the environment of a process that only supervises.
func Supervises(environ string) bool { return supervises.MatchString(environ) }

var supervises = regexp.MustCompile(`GRACEX_SUPERVISE=\d+:\{`)

// Signal sends it a signal.
func (p *Process) Signal(sig os.Signal) {
	p.t.Helper()
	p.Program.Signal(p.PID(), sig)
}
