package procgroup

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// envMark is the variable by which the processes of a Process are known. The group is not enough, because a worker
// of a supervisor leads a group of its own.
const envMark = "PROCTEST_ID"

var marks atomic.Int64

// newMark returns an entry of the environment that no other process of the system has.
func newMark() string { return fmt.Sprintf("%s=%d.%d", envMark, os.Getpid(), marks.Add(1)) }

// hasMark reports whether the process was started with the mark. One that has ended has none any more.
func hasMark(pid int, mark string) bool {
	b, _ := os.ReadFile(procFile(pid, "environ"))
	return bytes.Contains(append([]byte{0}, b...), []byte("\x00"+mark+"\x00"))
}

// executes reports whether the process is in the middle of an exec, and has no environment (environ_read in Linux'
// fs/proc/base.c).
func executes(pid int) bool {
	b, err := os.ReadFile(procFile(pid, "environ"))
	m, _, ok := readStat(procFile(pid, "stat"))
	return err == nil && len(b) == 0 && ok && !m.Ended()
}

// marked lists the processes with the mark. Only Linux tells.
func marked(mark string) (pids []int) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil && hasMark(pid, mark) {
			pids = append(pids, pid)
		}
	}
	return pids
}
