package proctest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// envMark is the variable by which the processes of a Program are known. The group is not enough, because a worker
// of a supervisor leads a group of its own.
const envMark = "PROCTEST_ID"

var marks atomic.Int64

// newMark returns an entry of the environment that no other process of the system has.
func newMark() string { return fmt.Sprintf("%s=%d.%d", envMark, os.Getpid(), marks.Add(1)) }

func environ(pid int) ([]byte, error) { return os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) }

// hasMark reports whether the process was started with the mark. One that has ended has none any more.
func hasMark(pid int, mark string) bool {
	b, _ := environ(pid)
	return bytes.Contains(append([]byte{0}, b...), []byte("\x00"+mark+"\x00"))
}

// executes reports whether the process is in the middle of an exec, and has no environment (environ_read in Linux'
// fs/proc/base.c).
func executes(pid int) bool {
	b, err := environ(pid)
	m, _, ok := procgroup.Find(pid)
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

// lives reports whether the process has not ended, and where the system tells, was started with the mark.
func lives(pid int, mark string) bool {
	if runtime.GOOS != "linux" {
		p, err := os.FindProcess(pid)
		return err == nil && p.Signal(syscall.Signal(0)) == nil
	}
	for late := time.Now().Add(time.Second); !hasMark(pid, mark); time.Sleep(time.Millisecond) {
		if !executes(pid) || time.Now().After(late) { // a kernel thread never has an environment
			return hasMark(pid, mark) // the exec can have ended between the two looks
		}
	}
	return true
}
