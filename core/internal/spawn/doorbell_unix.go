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
	bell, err := NewDoorbell()
	if err != nil {
		return nil, err
	}
	attr := &syscall.ProcAttr{
		Dir:   l.Dir,
		Env:   l.Environ(bell.Assignment()),
		Files: []uintptr{0, 1, 2, uintptr(bell.End())},
	}
	if l.stderr != 0 {
		attr.Files[fd.Stderr] = uintptr(l.stderr)
	}
	fd.CloseOnExecFrom(fd.First)
	pid, err := syscall.ForkExec(path, l.ownArgs(), attr)
	if err != nil {
		bell.Close()
		return nil, os.NewSyscallError("exec", err)
	}
	return ringing(pid, bell, wire.PassMsg{Handover: control, Dir: []byte(l.Dir)}, files)
}

// ringing passes on what a started process is to have.
func ringing(pid int, bell *Doorbell, msg wire.PassMsg, files []int) (Process, error) {
	msg.To = pid
	perr := bell.Pass(msg, files)
	p, err := os.FindProcess(pid)
	if err != nil {
		bell.Close()
		return nil, err
	}
	started := rung{process{p}, bell}
	if perr != nil {
		_ = p.Kill()
		started.Wait()
		return nil, perr
	}
	return started, nil
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
