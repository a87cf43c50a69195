package proc

import (
	"os"
	"strconv"
	"strings"
)

// PIDNamespace returns the inode number of the pid namespace of this process, 0 if it is not known: see
// namespaces(7).
func PIDNamespace() uint64 { return pidNamespace("self") } // /proc can be another namespace's

// PIDNamespaceOf is PIDNamespace for another process.
func PIDNamespaceOf(pid int) uint64 { return pidNamespace(strconv.Itoa(pid)) }

func pidNamespace(process string) uint64 {
	link, err := os.Readlink("/proc/" + process + "/ns/pid")
	if err != nil {
		return 0
	}
	inode, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(link, "pid:["), "]"), 10, 64)
	return inode
}

// Numbers returns the numbers of a process in all pid namespaces that it is in, this process's first: see NSpid
// in proc_pid_status(5). It is pid alone if they are not known.
func Numbers(pid int) []int {
	var numbers []int
	for _, field := range strings.Fields(Status(strconv.Itoa(pid), "NSpid")) {
		if n, err := strconv.Atoi(field); err == nil {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) > 0 {
		return numbers
	}
	return []int{pid}
}

// Root returns the directory through which this process sees the files of another one: "" if both see the same.
func Root(pid int) string {
	theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/mnt")
	ours, oerr := os.Readlink("/proc/self/ns/mnt")
	root := "/proc/" + strconv.Itoa(pid) + "/root"
	if err == nil && oerr == nil && theirs != ours {
		return root
	}
	if at, err := os.Readlink(root); err == nil && at != "/" { // chroot(2)
		return root
	}
	return ""
}
