//go:build unix

package spawn

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Umask returns the umask. Most systems tell it only to a process that sets another one,
// so it is for before main runs, when nothing makes files.
func Umask() int {
	b, _ := os.ReadFile("/proc/self/status") // Linux
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "Umask:"); ok {
			if n, err := strconv.ParseUint(strings.TrimSpace(v), 8, 16); err == nil {
				return int(n)
			}
		}
	}
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return mask
}

// SetUmask sets the umask.
func SetUmask(mask int) { syscall.Umask(mask) }
