package proc

import (
	"os"
	"strconv"
	"strings"
)

// SameImage reports whether another process runs the program of this one: the same file, or one that was at its path.
// See exe in proc_pid_exe(5).
func SameImage(pid int) bool {
	const own = "/proc/self/exe"
	other := "/proc/" + strconv.Itoa(pid) + "/exe"
	a, err := os.Stat(own)
	b, oerr := os.Stat(other)
	if err == nil && oerr == nil && os.SameFile(a, b) {
		return true
	}
	path, err := os.Readlink(own)
	at, oerr := os.Readlink(other)
	const gone = " (deleted)"
	return err == nil && oerr == nil && strings.TrimSuffix(path, gone) == strings.TrimSuffix(at, gone)
}

// IsAncestor reports whether a process has started this one, or has started one that did.
func IsAncestor(pid int) bool {
	for at, known := os.Getppid(), true; known && at > 0; at, known = Parent(at) {
		if at == pid {
			return true
		}
	}
	return false
}
