package fd

import (
	"os"
	"syscall"
)

const canReplace = true

// Replace makes to another descriptor of what from is, in one step, and open for
// the programs that this process starts. Not every Linux has dup2.
func Replace(from, to int) error { return os.NewSyscallError("dup3", syscall.Dup3(from, to, 0)) }

// fSetPipeSize is F_SETPIPE_SZ (fcntl(2)).
const fSetPipeSize = 1031

// setPipeSize makes the buffer of the pipe s bigger, if the system allows it.
func setPipeSize(s, size int) {
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), fSetPipeSize, uintptr(size))
}
