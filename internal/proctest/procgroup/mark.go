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
	b, err := os.ReadFile(procFile(pid, "environ"))
	return err == nil && bytes.Contains(append([]byte{0}, b...), []byte("\x00"+mark+"\x00"))
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
