package procgroup

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// envMark is the variable that holds a mark.
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
func (g Group) marked() (pids []int) {
	if g.Mark == "" {
		return nil
	}
	for _, pid := range everyPID() {
		if hasMark(pid, g.Mark) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasMarked reports whether the process was started with the mark, and has not ended. Where the system does not tell it
// is true of every process.
func (g Group) hasMarked(pid int) bool {
	if g.Mark == "" {
		return false
	}
	if runtime.GOOS != "linux" {
		p, err := os.FindProcess(pid)
		return err == nil && p.Signal(syscall.Signal(0)) == nil
	}
	for late := time.Now().Add(time.Second); !hasMark(pid, g.Mark); time.Sleep(time.Millisecond) {
		if !executes(pid) || time.Now().After(late) { // a kernel thread never has an environment
			return hasMark(pid, g.Mark) // the exec can have ended between the two looks
		}
	}
	return true
}
