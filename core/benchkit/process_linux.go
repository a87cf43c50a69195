package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpu is the processor time that the threads of a process have had, by the scheduler's clock (proc-schedstat of the
// kernel's documentation: the first field, in nanoseconds).
func cpu(pid int) (sum time.Duration) {
	for _, file := range taskFiles(pid, "schedstat") {
		b, _ := os.ReadFile(file) // a thread can have ended
		if fields := strings.Fields(string(b)); len(fields) > 0 {
			ns, _ := strconv.ParseInt(fields[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// resident is how much memory of a process is resident, in bytes (proc_pid_statm(5): the second field, in pages).
func resident(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	return pages * os.Getpagesize()
}

// descriptors is how many a process has open.
func descriptors(pid int) int {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(files)
}

// threads is how many a process has.
func threads(pid int) int { return len(taskFiles(pid, "stat")) }

func taskFiles(pid int, name string) []string {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", pid, name))
	return files
}

func megabytes(bytes int) float64 { return float64(bytes) / 1e6 }
