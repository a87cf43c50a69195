//go:build unix

package spawn

import (
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// startByDoorbell starts a program on gracex. Nothing that its packages see before core is initialized is of this
// start, but for the doorbell: the arguments are the program's own.
func startByDoorbell(path string, l Launch, control string, files []int) (Process, error) {
	pid, bell, err := ring(path, l, wire.PassMsg{Handover: control}, files)
	if err != nil {
		return nil, err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		bell.Close()
		return nil, err
	}
	return rung{process{p}, bell}, nil
}

// StartWorker starts the program at path as a supervisor's worker, which gets files as a next process does. link is the
// value of wire.EnvLink. The doorbell is the caller's to close, when the worker has said something or has ended; it is
// nil if there is none.
func StartWorker(path string, l Launch, link string, files []int) (pid int, bell *Doorbell, err error) {
	if OnGracex(path) {
		return ring(path, l, wire.PassMsg{Link: link}, files)
	}
	attr := &syscall.ProcAttr{Dir: l.In(), Env: l.Environ(wire.EnvLink + "=" + link), Files: []uintptr{0, 1, 2}}
	for _, s := range files {
		attr.Files = append(attr.Files, uintptr(s))
	}
	fd.CloseOnExecFrom(fd.First)
	pid, err = Exec(path, l, l.ownArgs(), attr)
	return pid, nil, err
}

// ring starts a program. What it is to have waits for it already: this process can be killed at any time, and then the
// new one is the only one that can serve.
func ring(path string, l Launch, msg wire.PassMsg, files []int) (pid int, bell *Doorbell, err error) {
	if bell, err = NewDoorbell(); err != nil {
		return 0, nil, err
	}
	attr := &syscall.ProcAttr{
		Dir: l.In(), Env: l.Environ(bell.Assignment(fd.First)), Files: []uintptr{0, 1, 2, uintptr(bell.End())},
	}
	if l.stderr != 0 {
		attr.Files[fd.Stderr] = uintptr(l.stderr)
	}
	fd.CloseOnExecFrom(fd.First)
	msg.Dir = []byte(l.Dir)
	if err = bell.Pass(msg, files); err == nil {
		pid, err = Exec(path, l, l.ownArgs(), attr)
	}
	if err != nil {
		bell.Close()
		return 0, nil, err
	}
	return pid, bell, nil
}

// rung is a process that is started by a doorbell.
type rung struct {
	process
	bell *Doorbell
}

// Answered is called when the process has said hello: it has taken all.
func (r rung) Answered() { r.bell.Close() }

func (r rung) Wait() Exit {
	e := r.process.Wait()
	r.bell.Close()
	return e
}
