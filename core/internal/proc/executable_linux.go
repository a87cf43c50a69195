package proc

import (
	"os"
	"strconv"
)

// Executable returns a path by which the file can be read that a process executes, also if it was removed since
// (proc_pid_exe(5)). It reports false where the system does not show it.
func Executable(pid int) (path string, ok bool) {
	path = "/proc/" + strconv.Itoa(pid) + "/exe"
	_, err := os.Stat(path)
	return path, err == nil
}
