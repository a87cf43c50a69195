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
