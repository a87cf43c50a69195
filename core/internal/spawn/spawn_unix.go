//go:build unix

package spawn

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Start starts the program at path as the next process, which gets files: a program on gracex by a doorbell, and
// another one inherits them from descriptor 3 up. The files stay the caller's. control is the value of
// wire.EnvHandover, in which they count from 3 in both cases.
func Start(path string, l Launch, control string, files []int) (Process, error) {
	if OnGracex(path) {
		return startByDoorbell(path, l, control, files)
	}
	args := l.Args()
	if !l.needsFlag(path) {
		args, control = l.ownArgs(), control+wire.Flagless
	}
	attr := &syscall.ProcAttr{
		Dir:   l.In(),
		Env:   l.Environ(wire.EnvHandover + "=" + control),
		Files: []uintptr{0, 1, 2},
	}
	if l.stderr != 0 {
		attr.Files[fd.Stderr] = uintptr(l.stderr)
	}
	for _, s := range files {
		attr.Files = append(attr.Files, uintptr(s))
	}
	// What the program that started this process has passed unasked goes no further.
	fd.CloseOnExecFrom(fd.First)
	pid, err := Exec(path, l, args, attr)
	if err != nil {
		return nil, err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil, err
	}
	return process{p}, nil
}

type process struct{ *os.Process }

func (p process) PID() int { return p.Pid }

func (p process) Wait() Exit {
	state, err := p.Process.Wait()
	if err != nil {
		return Exit{Text: "its exit status was taken by somebody else: " + err.Error()}
	}
	e := Exit{Text: state.String()}
	if ws, ok := state.Sys().(syscall.WaitStatus); ok {
		e.Status = ws
		if ws.Signaled() {
			e.Signal = ws.Signal()
		}
	}
	return e
}
