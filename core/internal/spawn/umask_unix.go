//go:build unix

package spawn

import (
	"strconv"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/proc"
)

// Umask returns the umask. Most systems tell it only to a process that sets another one,
// so it is for before main runs, when nothing makes files.
func Umask() int {
	if mask, err := strconv.ParseUint(proc.Status("self", "Umask"), 8, 16); err == nil { // Linux
		return int(mask)
	}
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return mask
}

// SetUmask sets the umask.
func SetUmask(mask int) { syscall.Umask(mask) }
