//go:build unix && !linux && !solaris

package fd

import (
	"os"
	"syscall"
)

const canReplace = true

// Replace makes to another descriptor of what from is, in one step, and open for
// the programs that this process starts.
func Replace(from, to int) error { return os.NewSyscallError("dup2", syscall.Dup2(from, to)) }

func setPipeSize(int, int) {}
