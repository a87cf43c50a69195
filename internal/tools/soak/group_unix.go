//go:build unix

package main

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// upgradeSignals are the two that mean an upgrade.
var upgradeSignals = []os.Signal{syscall.SIGUSR2, syscall.SIGHUP}

// supported says whether there are upgrades on this system.
const supported = true

// group is the process group of all generations, named by the first one's pid.
type group int

// startGroup starts a program in a group of its own, so that ^C in a terminal is
// the soak's alone and each process can be found.
func startGroup(path string, args []string, dir string, files []*os.File) (group, error) {
	if signal.Ignored(syscall.SIGHUP) {
		// nohup. A signal that is caught here is reset by exec; one that is
		// ignored would be ignored by the servers too.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	adoptOrphans()
	p, err := os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{
		Dir: dir, Env: append(os.Environ(), "PWD="+dir, "XDG_RUNTIME_DIR="+dir), Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, err
	}
	g := group(p.Pid)
	return g, p.Release() // reap waits for it
}

// deliver sends a signal to a process if it is one of the group.
func (g group) deliver(pid int, sig os.Signal) error {
	// The handle first, then the check: on Linux the handle can't name a later
	// process with the same number.
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer func() { _ = p.Release() }()
	if of, err := syscall.Getpgid(pid); err != nil || of != int(g) {
		return os.ErrProcessDone
	}
	if err := p.Signal(sig); !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return os.ErrProcessDone
}

// reap collects the members that have ended and are this process's children: the
// first generation, and where there is adoptOrphans each whose parent has ended.
func (g group) reap() []exit {
	var ended []exit
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-int(g), &ws, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return ended
		}
		e := exit{pid: pid, status: ws.ExitStatus()}
		if ws.Signaled() {
			e.signal = ws.Signal().String()
		}
		ended = append(ended, e)
	}
}

// members lists the processes of the group: those that live, and the zombies.
// Linux can be asked; elsewhere it is those of the known ones that are still in it.
func (g group) members(known []int) (live, zombies []int) {
	if runtime.GOOS != "linux" {
		for _, pid := range known {
			if of, err := syscall.Getpgid(pid); err == nil && of == int(g) {
				live = append(live, pid)
			}
		}
		return live, nil
	}
	// A process may start its successor and end while /proc is read, and neither
	// be seen. A second look sees the successor.
	for range 2 {
		if live, zombies = g.scan(); len(live) > 0 {
			break
		}
	}
	return live, zombies
}

func (g group) scan() (live, zombies []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		// proc(5): pid (name) state ppid pgrp ...; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 3 || string(fields[2]) != strconv.Itoa(int(g)) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		switch string(fields[0]) {
		case "Z", "X":
			zombies = append(zombies, pid)
		default:
			live = append(live, pid)
		}
	}
	return live, zombies
}
