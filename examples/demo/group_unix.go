//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

const supported = true

// ownGroup has cmd start in a process group of its own, named by its pid.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func upgrade(pid int) error { return syscall.Kill(pid, syscall.SIGUSR2) }

// A process that has ended meanwhile is what these two want.
func terminate(pid int) { _ = syscall.Kill(pid, syscall.SIGTERM) }
func kill(pid int)      { _ = syscall.Kill(pid, syscall.SIGKILL) }

// members lists the processes of a group that have not ended. Linux can be
// asked; elsewhere it is those known that are still in it, so that a number
// which has come to be somebody else's is not taken for one of ours.
func members(group int, known []int) []int {
	var live []int
	if runtime.GOOS == "linux" {
		// A process may start its successor and end while /proc is read, and
		// neither be seen. A second look sees the successor.
		for range 2 {
			if live = scanProc(group); len(live) > 0 {
				break
			}
		}
		return live
	}
	for _, pid := range known {
		if g, err := syscall.Getpgid(pid); err == nil && g == group {
			live = append(live, pid)
		}
	}
	return live
}

// scanProc finds a group's processes in /proc, less the zombies: those nobody
// has to end, and in a container whose pid 1 does not wait they stay for ever.
func scanProc(group int) []int {
	var live []int
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		// proc(5): pid (name) state ppid pgrp ...; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 3 || string(fields[0]) == "Z" || string(fields[0]) == "X" {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if pgrp, err := strconv.Atoi(string(fields[2])); err == nil && pgrp == group {
			live = append(live, pid)
		}
	}
	return live
}
