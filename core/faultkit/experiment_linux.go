package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// runDir is where a program may keep its pid file, in a cell's directory.
const runDir = "run"

const (
	// calm is how long there has to be one process before it counts as alone.
	calm = 5 * poll
	// askTime is how long a process that is alone may take for an answer.
	askTime = 10 * time.Second
)

// experiment is one cell on its way.
type experiment struct {
	*options
	cell      cell
	probation bool // what was said can be taken back at the cell's step, or later
	ctx       context.Context
	dir       string
	args      []string
	target    *target
	pidFile   string

	desk    *desk
	group   *group // named by the first generation; nil before
	first   int    // its pid
	traffic *traffic
	began   *session // the upgrade with the fault; nil if it has started nothing

	answered bool // the new process may have passed its probation before the fault
}

// try tries one cell.
func (o *options) try(ctx context.Context, c cell, probation bool) (r result) {
	t, began := &experiment{options: o, cell: c, probation: probation, ctx: ctx}, time.Now()
	r.cell = c
	err := t.prepare()
	defer os.RemoveAll(t.dir)
	if err == nil {
		err = t.play(&r)
	}
	if t.traffic != nil {
		r.counts = t.traffic.stop()
	}
	if err == nil {
		err = t.end()
	}
	if t.group != nil {
		if left := t.group.clear(); len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("killed, and still there: %v", left))
		}
	}
	if t.desk != nil {
		t.desk.shut()
	}
	if len(r.lost) > 0 && (err == nil || errors.As(err, new(notPossibleError)) && !errors.Is(err, errLate)) {
		err = fmt.Errorf("%d requests were lost, the first: %w", len(r.lost), r.lost[0])
	}
	r.heard, r.err, r.took = t.began.look(), err, time.Since(began)
	if err != nil && t.group != nil {
		r.output = t.group.Log.String()
	}
	return r
}

// prepare makes a directory and what differs from cell to cell.
func (t *experiment) prepare() (err error) {
	if t.dir, err = os.MkdirTemp("", "gxf"); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	fill := strings.NewReplacer(portWord, port, dirWord, t.dir).Replace
	t.pidFile = fill(t.options.pidFile)
	for _, arg := range t.program[1:] {
		t.args = append(t.args, fill(arg))
	}
	if err := os.Mkdir(filepath.Join(t.dir, runDir), 0o755); err != nil {
		return err
	}
	if err := errors.Join(os.Symlink(t.program[0], programIn(t.dir)), t.deploy()); err != nil {
		return err
	}
	if t.target, err = newTarget(fill(t.url)); err == nil {
		t.desk, err = openDesk(filepath.Join(t.dir, linkName))
	}
	return err
}

// play is the cell from the first start to a further upgrade.
func (t *experiment) play(r *result) error {
	if err := t.start(); err != nil {
		return err
	}
	// The short form has little time.
	secure := !t.short || t.cell.step == stepBegin || strings.HasPrefix(string(t.cell.step), "tls-")
	t.traffic = startTraffic(t.target, t.own, secure)
	if err := t.wait("answers to every kind of client", t.traffic.flowing); err != nil {
		return err
	}
	err := t.strike()
	t.began, _ = t.desk.ends()
	if err != nil {
		return err
	}
	pid, err := t.settle(0)
	r.outcome = t.judge(pid)
	if err != nil {
		return err
	}
	if t.cell.fault == faultNone && r.outcome != newServes {
		return t.unable(r.outcome)
	}
	want := t.cell.want(t.probation)
	if t.answered {
		want = unsure
	}
	if !want.allows(r.outcome) {
		return fmt.Errorf("the outcome is %q, not %q; %v", r.outcome, want, t.began.look())
	}
	if err := t.named(pid); err != nil {
		return err
	}
	// Once more, without a fault: nothing is stuck.
	t.desk.arm("", 0)
	if err := t.group.Signal(pid, t.signal); err != nil {
		return err
	}
	if _, err := t.settle(pid); err != nil {
		return fmt.Errorf("a further upgrade: %w", err)
	}
	return nil
}

// judge names the outcome.
func (t *experiment) judge(pid int) outcome {
	upgrade := t.began.look()
	switch {
	case pid == 0:
		return ended
	case pid == t.first && upgrade.committed:
		return rolledBack
	case pid == t.first:
		return oldServes
	case pid == upgrade.child:
		return newServes
	}
	return stranger
}

// start starts the first generation and waits for its first answer.
func (t *experiment) start() error {
	cmd := &exec.Cmd{
		Path: t.program[0], Args: append([]string{t.deployed()}, t.args...), Env: []string{envShim + "=" + t.dir},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	if t.cell.fault == faultDisk {
		if err := t.ownDisk(cmd); err != nil {
			return err
		}
	}
	g, err := startGroup(cmd, t.dir)
	if t.cell.fault == faultDisk && errors.Is(err, syscall.EPERM) {
		return notPossibleError("a file system of its own is not permitted here: " + err.Error())
	}
	if err != nil {
		return fmt.Errorf("the program: %w", err)
	}
	t.group, t.first = g, g.PID()
	gone := ""
	err = t.wait("an answer from "+t.url, func() bool {
		for _, e := range g.ended() {
			if e.PID == t.first {
				gone = e.String()
				return true
			}
		}
		pid, err := t.target.owner(t.ctx, g, askTime)
		return err == nil && pid == t.first
	})
	if gone != "" {
		_ = within(t.ctx, askTime, g.Log.Closed) // it is read a moment later
	}
	switch {
	case gone != "" && t.cell.fault == faultDisk:
		return notPossibleError("the program did not start on a file system of its own: " + t.lastWords())
	case gone != "":
		return fmt.Errorf("the program has ended at once (%s); its last words: %s", gone, t.lastWords())
	case err != nil:
		return fmt.Errorf("%w; does the program listen there?", err)
	}
	return nil
}

// unable says why an upgrade without a fault has not happened.
func (t *experiment) unable(o outcome) error {
	upgrade := t.began.look()
	switch {
	case !upgrade.begun:
		did := "started no new process"
		if o == ended {
			did = "ended the program"
		}
		return fmt.Errorf("%v has %s; is this a program on gracex, and is it the signal for an upgrade (-signal)? "+
			"The kit can't follow a program behind a wrapper, such as a shell that executes it: give the program itself; "+
			"its last words: %s", t.signal, did, t.lastWords())
	case !slices.Contains(upgrade.seen, stepHello):
		return errors.New("it does not speak the protocol: no hello; is it a program on gracex?")
	}
	return fmt.Errorf("the upgrade has failed without a fault: %v; its last words: %s", upgrade, t.lastWords())
}

// lastWords is the last line of the programs with something in it.
func (t *experiment) lastWords() string {
	s := strings.TrimSpace(t.group.Log.String())
	return cmp.Or(s[strings.LastIndexByte(s, '\n')+1:], "none")
}

// end stops the service and waits until no process is left.
func (t *experiment) end() error {
	pids := t.group.programs()
	if len(pids) != 1 {
		return fmt.Errorf("in the end there are programs %v and not one", pids)
	}
	if err := t.group.Signal(pids[0], syscall.SIGTERM); err != nil {
		return err
	}
	return t.wait("the end of all processes after SIGTERM", t.group.empty)
}

// wait waits until cond holds, at most for the bound.
func (t *experiment) wait(what string, cond func() bool) error {
	err := within(t.ctx, t.bound, cond)
	if err != nil && t.ctx.Err() == nil {
		return fmt.Errorf("hung: not within %v: %s; there are %v; %v", t.bound, what, t.group.members(), t.newest())
	}
	return err
}

// newest is what was heard of the upgrade that began last.
func (t *experiment) newest() heard {
	_, s := t.desk.ends()
	return s.look()
}

// settle waits until one program is left, and serves. A pid other than 0 is of one that
// it must not be any more. It returns 0 if none is left.
func (t *experiment) settle(but int) (pid int, err error) {
	err = t.wait("one process that serves", steady(calm, func() int {
		if pid = t.alone(); but != 0 && pid == but {
			return -1
		}
		return pid
	}))
	if err != nil || pid == 0 {
		return 0, err
	}
	serves, err := t.target.owner(t.ctx, t.group, askTime)
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
func (t *experiment) alone() int {
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
func (t *experiment) named(pid int) error {
	if t.pidFile == "" {
		return nil
	}
	// As the process sees it: it may have a file system of its own.
	path := fmt.Sprintf("/proc/%d/root%s", pid, t.pidFile)
	named := 0
	err := within(t.ctx, askTime, func() bool {
		named = procgroup.ReadPIDFile(path)
		return named == pid
	})
	if err != nil {
		return fmt.Errorf("process %d serves, and the pid file does not name it, but %d: %w", pid, named, err)
	}
	return nil
}
