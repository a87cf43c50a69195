// Package proc looks up other processes: whether they are there, and who has started them.
package proc

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// StartedBy is the process that started this one, as of the first look: later looks could
// name another process that got the number.
var StartedBy = os.Getppid()

// Alive reports whether a process with this number is there. One that has ended and was
// not waited for yet does not count, where the system tells.
func Alive(pid int) bool {
	if pid == StartedBy {
		return os.Getppid() == pid // the number may be another process's by now
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = p.Release() }()
	return !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone) && !Zombie(pid)
}

// WarmUp has package os find out now how it handles processes, which it does once. On Linux that is a fork, which copies
// the table of descriptors: with thousands of connections an upgrade would wait for it.
func WarmUp() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Release()
	}
}

// Running reports whether p can be signalled and has not ended.
func Running(p *os.Process) bool {
	return p.Signal(syscall.Signal(0)) == nil && !Zombie(p.Pid)
}

// Processes are handles of other processes.
type Processes []*os.Process

// Signal sends sig to each of them.
func (ps Processes) Signal(sig syscall.Signal) {
	for _, p := range ps {
		_ = p.Signal(sig)
	}
}

// End waits until they have ended, kills those that are still there after a while, and releases the handles.
func (ps Processes) End(after time.Duration) {
	for end := time.Now().Add(after); slices.ContainsFunc(ps, Running) && time.Now().Before(end); {
		time.Sleep(timing.Poll)
	}
	ps.Signal(syscall.SIGKILL)
	for _, p := range ps {
		_ = p.Release()
	}
}
