package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

const (
	progName   = "prog" // the deployed path, in a cell's directory
	outputName = "output"
	runDir     = "run" // where a program may keep its pid file
)

// trial is one cell on its way.
type trial struct {
	*options
	cell      cell
	probation bool // what was said can be taken back at the cell's step, or later
	ctx       context.Context
	dir       string
	path      string // of the program
	args      []string
	target    *target
	pidFile   string

	out     *os.File
	desk    *desk
	group   *group // named by the first generation
	first   int    // its pid
	traffic *traffic
	began   *session // the upgrade with the fault; nil if it has started nothing

	answered bool // the new process may have passed its probation before the fault
}

// newTrial prepares a directory and what differs from cell to cell.
func (o *options) newTrial(ctx context.Context, c cell, probation bool) (*trial, error) {
	dir, err := os.MkdirTemp("", "gxf")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer(portWord, strconv.Itoa(port), dirWord, dir).Replace
	t := &trial{options: o, cell: c, probation: probation, ctx: ctx, dir: dir, path: o.program[0], pidFile: fill(o.pidFile)}
	for _, arg := range o.program[1:] {
		t.args = append(t.args, fill(arg))
	}
	if t.target, err = newTarget(fill(o.url)); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(dir, runDir), 0o755); err != nil {
		return nil, err
	}
	if t.out, err = os.Create(filepath.Join(dir, outputName)); err != nil {
		return nil, err
	}
	if err := t.deploy(); err != nil {
		return nil, err
	}
	t.desk, err = openDesk(filepath.Join(dir, linkName), t.path)
	return t, err
}

// run tries the cell. It does not let its thread go before the first generation is
// gone: that is to die with it if the kit is killed (PR_SET_PDEATHSIG).
func (t *trial) run() (r result) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := time.Now()
	r.cell = t.cell
	err := t.play(&r)
	if t.traffic != nil {
		r.counts = t.traffic.stop()
	}
	if err == nil {
		err = t.end()
	}
	if left := t.cleanUp(); len(left) > 0 {
		err = errors.Join(err, fmt.Errorf("killed, and still there: %v", left))
	}
	if err == nil && len(r.lost) > 0 {
		err = fmt.Errorf("%d requests were lost, the first: %w", len(r.lost), r.lost[0])
	}
	r.heard, r.err, r.took = t.began.look(), err, time.Since(began)
	if err != nil {
		r.output = t.output()
	}
	return r
}

// play is the cell from the first start to a further upgrade.
func (t *trial) play(r *result) error {
	if err := t.start(); err != nil {
		return err
	}
	t.traffic = startTraffic(t.target, t.own)
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
	if !slices.Contains(want, r.outcome) {
		return fmt.Errorf("the outcome is %q, not %q; %v", r.outcome, want, t.began.look())
	}
	if err := t.named(pid); err != nil {
		return err
	}
	return t.upgradeAgain(pid)
}

// judge names the outcome.
func (t *trial) judge(pid int) outcome {
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
func (t *trial) start() error {
	cmd := &exec.Cmd{
		Path: t.path, Args: append([]string{t.deployed()}, t.args...), Stdout: t.out, Stderr: t.out,
		// Its control socket is none that the machine's operator would find.
		Env:         append(os.Environ(), envShim+"="+t.dir, "XDG_RUNTIME_DIR="+t.dir),
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	if t.cell.fault == faultDisk {
		if err := t.ownDisk(cmd); err != nil {
			return err
		}
	}
	var err error
	if t.group, err = startGroup(cmd); err != nil {
		if t.cell.fault == faultDisk && errors.Is(err, syscall.EPERM) {
			return notPossibleError("a file system of its own is not permitted here: " + err.Error())
		}
		return fmt.Errorf("the program: %w", err)
	}
	t.first = t.group.Leader
	gone := ""
	err = t.wait("an answer from "+t.url, func() bool {
		for _, e := range t.group.ended() {
			if e.PID == t.first {
				gone = e.String()
				return true
			}
		}
		pid, err := t.target.owner(t.group, time.Second)
		return err == nil && pid == t.first
	})
	switch {
	case gone != "" && t.cell.fault == faultDisk:
		return notPossibleError("the program did not start on a file system of its own: " + lastLine(t.output()))
	case gone != "":
		return fmt.Errorf("the program has ended at once (%s); its last words: %s", gone, lastLine(t.output()))
	case err != nil:
		return fmt.Errorf("%w; does the program listen there?", err)
	}
	return nil
}

// unable says why an upgrade without a fault has not happened.
func (t *trial) unable(o outcome) error {
	lastWords := "its last words: " + lastLine(t.output())
	upgrade := t.began.look()
	switch {
	case !upgrade.begun:
		did := "started no new process"
		if o == ended {
			did = "ended the program"
		}
		return fmt.Errorf("%v has %s; is this a program on gracex, and is it the signal for an upgrade (-signal)? %s", t.signal, did, lastWords)
	case !slices.Contains(upgrade.seen, stepHello):
		return errors.New("it does not speak the protocol: no hello; is it a program on gracex?")
	}
	return fmt.Errorf("the upgrade has failed without a fault: %v; %s", upgrade, lastWords)
}

// upgradeAgain upgrades once more, without a fault: nothing is stuck.
func (t *trial) upgradeAgain(pid int) error {
	t.desk.arm("", 0)
	if err := t.group.Signal(pid, t.signal); err != nil {
		return err
	}
	if _, err := t.settle(pid); err != nil {
		return fmt.Errorf("a further upgrade: %w", err)
	}
	return nil
}

// end stops the service and waits until no process is left.
func (t *trial) end() error {
	pids := t.group.programs()
	if len(pids) != 1 {
		return fmt.Errorf("in the end there are programs %v and not one", pids)
	}
	if err := t.group.Signal(pids[0], syscall.SIGTERM); err != nil {
		return err
	}
	return t.wait("the end of all processes after SIGTERM", t.group.empty)
}

// cleanUp leaves nothing behind, and returns what is left all the same.
func (t *trial) cleanUp() (left []procgroup.Member) {
	if t.group != nil {
		left = t.group.Clear(killTime)
	}
	t.desk.shut()
	t.out.Close()
	return left
}
