package core

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// descendants returns the processes that pid has started, and what those have, as far as
// they have not outlived their parents: see children in proc_pid_task(5).
func descendants(pid int) (all []*os.Process) {
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(b)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				continue
			}
			if p, err := os.FindProcess(child); err == nil {
				all = append(append(all, p), descendants(child)...)
			}
		}
	}
	return all
}

// parentOf is the process that has started pid: the fourth field of proc_pid_stat(5), two
// behind the name, which may have anything in it.
func parentOf(pid int) (parent int, known bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 2 {
		return 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, err == nil
}
