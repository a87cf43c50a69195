//go:build unix

package core

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// startProcess starts the next generation with syscall.ForkExec: exec.Cmd would
// take os.Files, and os.File.Fd clears O_NONBLOCK on the shared sockets.
func startProcess(path string, l launch, control string, files []int) (process, error) {
	attr := &syscall.ProcAttr{
		Dir:   l.dir,
		Env:   l.environ(control),
		Files: []uintptr{0, 1, 2},
	}
	if l.stderr != 0 {
		attr.Files[fd.Stderr] = uintptr(l.stderr)
	}
	for _, s := range files {
		attr.Files = append(attr.Files, uintptr(s))
	}
	// What this process was given unasked by whoever started it goes no further.
	fd.CloseOnExecFrom(fd.First)
	pid, err := syscall.ForkExec(path, l.args(), attr)
	if err != nil {
		return nil, os.NewSyscallError("exec", err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	return osProcess{p}, nil
}

type osProcess struct{ *os.Process }

func (p osProcess) pid() int                   { return p.Pid }
func (p osProcess) signal(sig os.Signal) error { return p.Signal(sig) }

func (p osProcess) wait() exit {
	state, err := p.Wait()
	if err != nil {
		return exit{text: "its exit status was taken by somebody else: " + err.Error()}
	}
	e := exit{text: state.String()}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.signal = ws.Signal()
	}
	return e
}
