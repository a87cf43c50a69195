package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

const (
	// prSetChildSubreaper is PR_SET_CHILD_SUBREAPER of prctl(2).
	prSetChildSubreaper = 36
	// poll is how often /proc is looked at while something is waited for.
	poll = 50 * time.Millisecond
	// freezeTime is more than a process takes to stop.
	freezeTime = 5 * time.Second
)

// adoptOrphans makes this process the parent of each descendant whose own has ended:
// then it knows that none is left.
func adoptOrphans() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w", errno)
	}
	return nil
}

// group is the process group of a cell, named by the first generation's pid.
type group int

// process is a member of a group.
type process struct {
	pid   int
	state byte // as in /proc/<pid>/stat
	shim  bool
}

func (p process) String() string {
	what := "program"
	if p.shim {
		what = "shim"
	}
	return fmt.Sprintf("%s %d (%c)", what, p.pid, p.state)
}

// zombie reports whether the process has ended.
func (p process) zombie() bool { return p.state == 'Z' || p.state == 'X' }

// members lists the processes of the group, zombies included.
func (g group) members() (all []process) {
	self, _ := os.Readlink("/proc/self/exe")
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		state, of, ok := readStat(file)
		if !ok || of != int(g) {
			continue
		}
		dir := filepath.Dir(file)
		pid, _ := strconv.Atoi(filepath.Base(dir))
		exe, _ := os.Readlink(filepath.Join(dir, "exe")) // empty for a zombie
		all = append(all, process{pid, state, exe == self})
	}
	return all
}

// readStat reads what proc(5) says of a process or thread: pid (name) state ppid pgrp
// and so on; the name may hold anything.
func readStat(file string) (state byte, group int, ok bool) {
	stat, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, false // it has ended meanwhile
	}
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 3 {
		return 0, 0, false
	}
	group, err = strconv.Atoi(string(f[2]))
	return f[0][0], group, err == nil
}

// programs lists the processes of the group that live and are no shims.
func (g group) programs() (pids []int) {
	for _, p := range g.members() {
		if !p.shim && !p.zombie() {
			pids = append(pids, p.pid)
		}
	}
	return pids
}

// lives reports whether a process of the group has not ended.
func (g group) lives(pid int) bool {
	state, of, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return ok && of == int(g) && !process{state: state}.zombie()
}

// reap collects the members that have ended and are children of this process, and
// reports how the given one ended if it is among them.
func (g group) reap(pid int) (how string) {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-int(g), &ws, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err != nil || got <= 0:
			return how
		case got == pid && ws.Signaled():
			how = "signal " + ws.Signal().String()
		case got == pid:
			how = fmt.Sprintf("exit status %d", ws.ExitStatus())
		}
	}
}

// signal sends a signal to a process of the group.
func (g group) signal(pid int, sig syscall.Signal) error {
	if !g.lives(pid) {
		return fmt.Errorf("%v to process %d: %w", sig, pid, os.ErrProcessDone)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("%v to process %d: %w", sig, pid, err)
	}
	return nil
}

// freeze stops a process, and returns when all of it has stopped.
func (g group) freeze(pid int) error {
	if err := g.signal(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	for limit := time.Now().Add(freezeTime); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		if g.frozen(pid) {
			return nil
		}
	}
	return fmt.Errorf("process %d has not stopped within %v of SIGSTOP", pid, freezeTime)
}

func (g group) frozen(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return !slices.ContainsFunc(threads, func(file string) bool {
		state, _, ok := readStat(file)
		return ok && state != 'T'
	})
}

// thaw lets a stopped process go on.
func (g group) thaw(pid int) error { return g.signal(pid, syscall.SIGCONT) }

// kill ends every process of the group that is left. Its members are this process's
// children or will be, so the number of the group is nobody else's.
func (g group) kill(patience time.Duration) (left []process) {
	for limit := time.Now().Add(patience); ; time.Sleep(poll) {
		for _, p := range g.members() {
			if !p.zombie() {
				_ = syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
		g.reap(0)
		if left = g.members(); len(left) == 0 || time.Now().After(limit) {
			return left
		}
	}
}
