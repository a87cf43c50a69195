package proc

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// The fields of proc_pid_stat(5) behind the name, which may have anything in it.
const (
	statState   = 0
	statParent  = 1
	statFlags   = 6
	statStarted = 19 // in clock ticks since boot
)

// stat returns those fields; nil for a process that is no more.
func stat(pid int) []string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) <= statStarted {
		return nil
	}
	return fields
}

// Zombie reports whether a process has ended and was not waited for yet.
func Zombie(pid int) bool {
	st := stat(pid)
	return st != nil && st[statState] == "Z"
}

// exiting is PF_EXITING in include/linux/sched.h.
const exiting = 0x4

// isExiting reports whether a process ends, or has ended and was not waited for yet. It shows its program no more, and
// may still be a parent.
func isExiting(pid int) bool {
	st := stat(pid)
	if st == nil {
		return false
	}
	flags, _ := strconv.ParseUint(st[statFlags], 10, 64)
	return flags&exiting != 0
}

// Parent returns the process that has started pid.
func Parent(pid int) (parent int, known bool) {
	if st := stat(pid); st != nil {
		parent, err := strconv.Atoi(st[statParent])
		return parent, err == nil
	}
	return 0, false
}

// Name returns the name of a process, "" if it is not known: see proc_pid_comm(5).
func Name(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.TrimSpace(string(b))
}

// OwnName is Name for this process. /proc can be another pid namespace's, in which it has another number.
func OwnName() string {
	b, _ := os.ReadFile("/proc/self/comm")
	return strings.TrimSuffix(string(b), "\n")
}

// seesOwn reports whether processes have the same numbers in /proc as here: it can be another pid namespace's.
func seesOwn() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == strconv.Itoa(os.Getpid())
}

// Rename sets the name of the thread that calls it, which is this process's in the first thread: see PR_SET_NAME in
// prctl(2).
func Rename(name string) {
	const prSetName = 15
	b := append([]byte(name), 0)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetName, uintptr(unsafe.Pointer(&b[0])), 0)
}

// children returns the numbers of the processes that pid has started: see children in proc_pid_task(5).
func children(pid int) (pids []int) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(field); err == nil {
				pids = append(pids, child)
			}
		}
	}
	return pids
}

// Descendants returns the processes that pid has started, and those that they have, as far
// as none has outlived its parent.
func Descendants(pid int) (all Processes) {
	for _, child := range children(pid) {
		if p, err := os.FindProcess(child); err == nil {
			all = append(append(all, p), Descendants(child)...)
		}
	}
	return all
}

// HasSibling reports whether the parent of this process has started another one that has not ended.
func HasSibling() bool { return len(siblings()) > 0 }

// HasYoungerSibling reports whether one of them was started after this one. Two that began
// in the same tick are told apart by their numbers.
func HasYoungerSibling() bool {
	self := os.Getpid()
	own := began(self)
	return slices.ContainsFunc(siblings(), func(pid int) bool {
		other := began(pid)
		return other > own || other == own && pid > self
	})
}

// siblings returns the other processes that the parent has started and that have not ended.
func siblings() []int {
	return slices.DeleteFunc(children(os.Getppid()), func(pid int) bool {
		return pid == os.Getpid() || began(pid) < 0
	})
}

// began returns the tick in which a process was started, -1 for one that has ended.
func began(pid int) int64 {
	st := stat(pid)
	if st == nil || st[statState] == "Z" || st[statState] == "X" {
		return -1
	}
	tick, err := strconv.ParseInt(st[statStarted], 10, 64)
	if err != nil {
		return -1
	}
	return tick
}
