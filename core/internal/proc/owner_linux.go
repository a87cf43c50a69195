package proc

import (
	"os"
	"strconv"
	"strings"
)

// Owner returns the effective user of a process: see Uid in proc_pid_status(5). The owner of /proc/<pid> is root for
// one that has changed its user.
func Owner(pid int) (uid int, known bool) {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(b)) {
		list, ok := strings.CutPrefix(line, "Uid:")
		if fields := strings.Fields(list); ok && len(fields) > 1 {
			uid, err := strconv.Atoi(fields[1]) // real, effective, saved, file system
			return uid, err == nil
		}
	}
	return 0, false
}
