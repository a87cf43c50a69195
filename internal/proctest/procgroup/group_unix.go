//go:build unix

package procgroup

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
)

const sigstop, sigcont = syscall.SIGSTOP, syscall.SIGCONT

// Lead makes cmd start as the leader of a new group, unless it is to lead a session. Its pid is the group's
// number. ResetHangup holds for the new process.
func Lead(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = !cmd.SysProcAttr.Setsid
	ResetHangup()
}

// ResetHangup makes SIGHUP end the processes that this one starts, even if it is ignored here, as under nohup. It
// catches the signal, because exec resets one that is caught.
func ResetHangup() {
	// The runtime says that a signal is not ignored a moment before it is caught. Nobody starts a process in between.
	hangup.Lock()
	defer hangup.Unlock()
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

var hangup sync.Mutex

// Members lists the processes of the group, also those that have ended and were not waited for. Only Linux tells.
func (g Group) Members() (all []Member) {
	// A process can start the next one and end while /proc is read, and neither is seen. A second look sees the
	// next one.
	for range 2 {
		all = all[:0]
		lives := false
		for _, pid := range everyPID() {
			if m, of, ok := readStat(procFile(pid, "stat")); ok && of == g.Leader {
				all = append(all, m)
				lives = lives || !m.Ended()
			}
		}
		if lives {
			break
		}
	}
	return all
}

// Has reports whether the process is in the group, or was started by one of the group's, and has not ended.
func (g Group) Has(pid int) bool {
	of, err := syscall.Getpgid(pid)
	in := err == nil && of == g.Leader
	if runtime.GOOS == "linux" {
		m, of, ok := readStat(procFile(pid, "stat"))
		in = ok && of == g.Leader && !m.Ended()
	}
	return in || g.hasMarked(pid)
}

// Kill sends SIGKILL to every process.
func (g Group) Kill() {
	if g.Leader > 1 { // 0 would be this process's own group, and -1 every process (kill(2))
		_ = syscall.Kill(-g.Leader, syscall.SIGKILL) // all at once
	}
	g.killMarked()
}

// killMarked sends it to those alone that have left the group.
func (g Group) killMarked() {
	for _, pid := range g.marked() {
		_ = g.Signal(pid, os.Kill)
	}
}

// Reap waits for the members that have ended and are children of this process, and returns how they ended. It
// does not block.
func (g Group) Reap() (ended []Exit) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-g.Leader, &ws, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil || pid <= 0:
			return ended
		default:
			e := Exit{PID: pid, Status: ws.ExitStatus()}
			if ws.Signaled() {
				e.Signal = ws.Signal().String()
			}
			ended = append(ended, e)
		}
	}
}
