package procgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// look is how often the system is asked about processes that are waited for.
	look = 20 * time.Millisecond
	// freezeTime is more than a process takes to stop.
	freezeTime = 10 * time.Second
)

// Group is a process group, and what has left it.
type Group struct {
	// Leader is the pid of the process that leads the group, and its number. The number is nobody else's as long as a
	// process is in the group, or its leader was not waited for.
	Leader int

	// Mark, if set, is an entry of the environment that the leader was started with. By it a process is known that has
	// left the group, and leads one of its own.
	Mark string
}

// Member is a process of a group.
type Member struct {
	PID   int
	State byte // as in proc(5): R, S, T, Z and so on
}

// Ended reports whether the process has ended, and was not waited for.
func (m Member) Ended() bool { return m.State == 'Z' || m.State == 'X' }

// Exe is the path of the file that the process executes. It is empty for one that has ended, and where the
// system does not tell.
func (m Member) Exe() string {
	exe, _ := os.Readlink(procFile(m.PID, "exe"))
	return exe
}

func (m Member) String() string { return fmt.Sprintf("%d (%c)", m.PID, m.State) }

// Exit is how a process ended.
type Exit struct {
	PID, Status int    // Status is -1 after a signal
	Signal      string // its name; empty if none ended the process
}

func (e Exit) String() string {
	if e.Signal != "" {
		return fmt.Sprintf("pid %d: signal %s", e.PID, e.Signal)
	}
	return fmt.Sprintf("pid %d: exit status %d", e.PID, e.Status)
}

// Signal sends a signal to a process of the group. The error wraps os.ErrProcessDone if it is none, or has ended.
func (g Group) Signal(pid int, sig os.Signal) error {
	// The handle comes first. On Linux it can't name a later process with the same number.
	p, err := os.FindProcess(pid)
	if err == nil {
		defer func() { _ = p.Release() }()
		err = os.ErrProcessDone
		if g.Has(pid) {
			err = p.Signal(sig)
		}
	}
	if errors.Is(err, syscall.ESRCH) {
		err = os.ErrProcessDone
	}
	if err != nil {
		return fmt.Errorf("%v to process %d: %w", sig, pid, err)
	}
	return nil
}

// Thaw lets a frozen process go on.
func (g Group) Thaw(pid int) error { return g.Signal(pid, sigcont) }

// Freeze stops a process of the group, and returns when all its threads stand still.
func (g Group) Freeze(pid int) error {
	if err := g.Signal(pid, sigstop); err != nil {
		return err
	}
	for late := time.Now().Add(freezeTime); ; time.Sleep(time.Millisecond) {
		switch {
		case !g.Has(pid):
			return fmt.Errorf("stop process %d: %w", pid, os.ErrProcessDone)
		case stopped(pid):
			return nil
		case time.Now().After(late):
			return fmt.Errorf("process %d has not stopped within %v of SIGSTOP", pid, freezeTime)
		}
	}
}

// stopped reports whether no thread of the process runs. Where the system does not tell it is true.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(procFile(pid, "task/*/stat"))
	for _, file := range threads {
		if m, _, ok := readStat(file); ok && m.State != 'T' && m.State != 't' {
			return false
		}
	}
	return true
}

// Live lists the processes that have not ended. Only Linux tells.
func (g Group) Live() []int {
	pids := g.marked()
	for _, m := range g.Members() {
		if !m.Ended() {
			pids = append(pids, m.PID)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids)
}

// Clear ends every member and waits for those that are this process's children. It returns what is left after
// that time. It is for a process that has called AdoptOrphans, because all members are or become its children.
func (g Group) Clear(patience time.Duration) (left []Member) {
	for late := time.Now().Add(patience); ; time.Sleep(look) {
		g.Kill()
		g.Reap()
		if left = g.Members(); len(left) == 0 || time.Now().After(late) {
			return left
		}
	}
}

// ReadPIDFile returns the pid that a file holds, and 0 if there is no file or no pid in it.
func ReadPIDFile(path string) int {
	b, _ := os.ReadFile(path)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return max(pid, 0)
}

// everyPID lists all processes. Only Linux tells.
func everyPID() (pids []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

// readStat reads what proc(5) says of a process or thread, and the number of its group: pid (name) state ppid
// pgrp and so on. The name may hold anything.
func readStat(file string) (m Member, group int, ok bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return Member{}, 0, false // it has ended meanwhile
	}
	stat := string(b)
	pid, _, _ := strings.Cut(stat, " ")
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 3 {
		return Member{}, 0, false
	}
	n, err := strconv.Atoi(pid)
	if err != nil {
		return Member{}, 0, false
	}
	of, err := strconv.Atoi(f[2])
	return Member{PID: n, State: f[0][0]}, of, err == nil
}
