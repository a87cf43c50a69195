package main

import (
	"cmp"
	"fmt"
	"os"
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
			return fmt.Errorf("hung: not within %v: %s; there are %v; %v", t.bound, what, t.group.members(), t.newest())
		}
	}
	return nil
}

// newest is what was heard of the upgrade that began last.
func (t *trial) newest() heard {
	_, s := t.desk.ends()
	return s.look()
}

// settle waits until one program is left, and serves. A pid other than 0 is of one that
// it must not be any more. It returns 0 if none is left.
func (t *trial) settle(but int) (pid int, err error) {
	since := time.Now()
	err = t.wait("one process that serves", func() bool {
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
	programs, shims := t.group.alive()
	switch {
	case len(programs)+len(shims) == 0:
		return 0
	case len(programs) != 1, len(shims) > 1:
		return -1
	case len(shims) == 1 && t.newest().child != programs[0]: // a shim lives as long as its program
		return -1
	}
	return programs[0]
}

// named waits until the pid file, if there is one, names the process that serves.
func (t *trial) named(pid int) error {
	if t.pidFile == "" {
		return nil
	}
	// As the process sees it: it may have a file system of its own.
	path := fmt.Sprintf("/proc/%d/root%s", pid, t.pidFile)
	var words string
	named := within(askTime, func() bool {
		b, err := os.ReadFile(path)
		if words = strings.TrimSpace(string(b)); err != nil {
			words = err.Error()
		}
		return words == strconv.Itoa(pid)
	})
	if named {
		return nil
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
	s = strings.TrimSpace(s)
	return cmp.Or(s[strings.LastIndexByte(s, '\n')+1:], "none")
}
