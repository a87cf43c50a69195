package fd

import (
	"math"
	"syscall"
)

// From close_range(2), which is Linux 5.11's with this flag. The number is the same on
// every architecture but MIPS, where it is none, and not in package syscall.
const (
	sysCloseRange     = 436
	closeRangeCloexec = 1 << 2
)

// closeRange sets close-on-exec on first and all descriptors above it.
func closeRange(first int) error {
	_, _, errno := syscall.Syscall(sysCloseRange, uintptr(first), math.MaxUint32, closeRangeCloexec)
	if errno != 0 {
		return errno
	}
	return nil
}
