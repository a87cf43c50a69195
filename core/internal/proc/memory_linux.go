package proc

import (
	"os"
	"strconv"
	"strings"
)

// ResidentMemory returns how much memory this process has, in bytes: the second number of
// /proc/self/statm is in pages (proc_pid_statm(5)). It is 0 if it can't be read.
func ResidentMemory() uint64 {
	b, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}
