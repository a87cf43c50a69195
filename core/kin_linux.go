package core

import (
	"bytes"
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

// The fields of proc_pid_stat(5) behind the name, which may have anything in it.
const (
	statState   = 0
	statParent  = 1
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

// parentOf is the process that has started pid.
func parentOf(pid int) (parent int, known bool) {
	if st := stat(pid); st != nil {
		parent, err := strconv.Atoi(st[statParent])
		return parent, err == nil
	}
	return 0, false
}

// hasSibling reports whether the parent has started another process that is of the kind and still there. Two
// that began in the same tick are told apart by their numbers.
func hasSibling(kind sibling) bool {
	own := os.Getpid()
	began := func(pid int) int64 {
		if st := stat(pid); st != nil && st[statState] != "Z" && st[statState] != "X" {
			n, _ := strconv.ParseInt(st[statStarted], 10, 64)
			return n
		}
		return -1
	}
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(os.Getppid()) + "/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(field)
			if err != nil || pid == own {
				continue
			}
			mine, other := began(own), began(pid)
			if kind == anySibling && other >= 0 || other > mine || other == mine && pid > own {
				return true
			}
		}
	}
	return false
}
