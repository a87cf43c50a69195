//go:build unix

package foreign

import (
	"os"
	"syscall"
)

// retire is how overseer and einhorn ask a worker to make room for the next one.
const retire = syscall.SIGUSR2

// released tells overseer's master, if that still is the parent, that the listeners are closed.
func released(master int) error {
	if master <= 1 || os.Getppid() != master {
		return os.ErrProcessDone
	}
	return os.NewSyscallError("kill", syscall.Kill(master, syscall.SIGUSR1))
}
