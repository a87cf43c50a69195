//go:build unix

package core

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// readUmask returns the umask. Most systems tell it only to who sets another one,
// which is for before main runs, when nothing makes files.
func readUmask() int {
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

func setUmask(mask int) { syscall.Umask(mask) }
