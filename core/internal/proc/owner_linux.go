package proc

import (
	"strconv"
	"strings"
)

// Owner returns the effective user of a process: see Uid in proc_pid_status(5). The owner of /proc/<pid> is root for
// one that has changed its user.
func Owner(pid int) (uid int, known bool) {
	users := strings.Fields(Status(strconv.Itoa(pid), "Uid")) // real, effective, saved, of the file system
	if len(users) < 2 {
		return 0, false
	}
	uid, err := strconv.Atoi(users[1])
	return uid, err == nil
}
