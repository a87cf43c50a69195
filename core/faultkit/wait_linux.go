package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// calm is how long there has to be one process before it counts as alone.
	calm = 5 * poll
	// askTime is how long a process that is alone may take for an answer.
	askTime = 10 * time.Second
)

// wait waits until cond holds, at most for the bound.
func (t *trial) wait(what string, cond func() bool) error {
	for limit := time.Now().Add(t.bound); !cond(); time.Sleep(poll) {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("hung: not within %v: %s; there are %v; %v", t.bound, what, t.group.members(), t.desk.newest())
		}
	}
	return nil
}

// settle waits until one program is left, and serves. A pid other than 0 is of one that
// it must not be any more. It returns 0 if none is left.
func (t *trial) settle(but int) (pid int, err error) {
	since := time.Now()
	what := "one process that serves"
	err = t.wait(what, func() bool {
		t.group.reap(0)
		now := t.alone()
		if now != pid || now < 0 || but != 0 && now == but {
			pid, since = now, time.Now()
			return false
		}
		return time.Since(since) > calm
	})
	if err != nil || pid == 0 {
		return 0, err
	}
	serves, err := t.target.owner(t.group, askTime)
	if err != nil {
		return 0, fmt.Errorf("process %d is alone, and does not serve: %w", pid, err)
	}
	if serves != pid {
		return serves, fmt.Errorf("process %d was alone, and %d serves", pid, serves)
	}
	return pid, nil
}

// alone returns the pid of the one program that is there; 0 if there is none at all,
// and -1 while more are, or one is about to be.
func (t *trial) alone() int {
	program, shims := 0, 0
	for _, p := range t.group.members() {
		switch {
		case p.zombie():
		case p.shim:
			shims++
		case program != 0:
			return -1
		default:
			program = p.pid
		}
	}
	if shims == 0 {
		return program
	}
	// A shim lives as long as its program.
	if _, child := t.desk.newest().pids(); shims > 1 || child != program {
		return -1
	}
	return program
}

// named waits until the pid file, if there is one, names the process that serves.
func (t *trial) named(pid int) error {
	if t.pidFile == "" {
		return nil
	}
	// As the process sees it: it may have a file system of its own.
	path := fmt.Sprintf("/proc/%d/root%s", pid, t.pidFile)
	var words string
	for limit := time.Now().Add(askTime); time.Now().Before(limit); time.Sleep(poll) {
		b, err := os.ReadFile(path)
		words = strings.TrimSpace(string(b))
		if words == strconv.Itoa(pid) {
			return nil
		}
		if err != nil {
			words = err.Error()
		}
	}
	return fmt.Errorf("process %d serves, and the pid file does not name it: %s", pid, words)
}

// output is what the programs have written.
func (t *trial) output() string {
	b, err := os.ReadFile(t.out.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// lastLine is the last line with something in it.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	slices.Reverse(lines)
	if lines[0] == "" {
		return "none"
	}
	return lines[0]
}
