package main

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// How long faults last.
const (
	// stopTime is longer than every time after which one process finds the other one
	// hung, but for the next, and than the ready timeout of the kit's own server.
	stopTime = 7 * time.Second
	// longStopTime is longer than a new process waits for an answer to "ready".
	longStopTime = 12 * time.Second
	// shortageTime is how long descriptors or disk are short: time for an upgrade to
	// fail, or for one under way to feel it.
	shortageTime = 2 * time.Second
	// slowTime is within every ready timeout.
	slowTime = time.Second
)

// faultKind is how a fault is injected: into a session that stands still at a step, and goes on then, or before the
// upgrade is asked for, until it is undone. It is nil if there is no such way.
type faultKind struct {
	name   fault
	inject func(*experiment, *session) error
	before func(*experiment) (undo func() error, err error)
}

// faults are all that can go wrong.
var faults = []faultKind{
	{faultNone, nil, func(*experiment) (func() error, error) { return nil, nil }},
	{faultKillOld, (*experiment).killOld, nil}, // kill -9 of the old process
	{"kill-new", (*experiment).killNew, nil},   // and of the new one
	// A process stands still for a while, until the other one has given it up, or both do: a machine that sleeps.
	{"stop-old", func(t *experiment, s *session) error { return t.stop(s, t.first, stopTime) }, nil},
	{"long-stop-old", func(t *experiment, s *session) error { return t.stop(s, t.first, longStopTime) }, nil},
	{faultStopNew, func(t *experiment, s *session) error { return t.stop(s, s.victim(), stopTime) }, nil},
	{"suspend", (*experiment).suspend, nil},
	{"cut", order(doCut), nil},           // the handover socket is gone, and both live
	{"truncate", order(doTruncate), nil}, // half of the frame comes, and then the same
	{"garbage", order(doGarbage), nil},   // as many bytes come, with the same descriptors, and mean nothing
	{
		"emfile-old", // the old process can't open anything for a while
		func(t *experiment, s *session) error { return t.starve(s, t.first) },
		func(t *experiment) (func() error, error) { return limitFiles(t.first) },
	},
	{faultFilesNew, (*experiment).starveNew, nil}, // the new one can't
	{faultDisk, nil, (*experiment).fillDisk},      // the disk with the pid file is full for a while
	// The program's file is gone, or something else is in its place, that can't be executed or exits with status 3.
	{"deleted", nil, func(t *experiment) (func() error, error) { return t.deploy, os.Remove(t.deployed()) }},
	{"no-program", nil, func(t *experiment) (func() error, error) {
		return t.deploy, t.replace(strings.Repeat("it can't be executed ", 100))
	}},
	{"script", nil, func(t *experiment) (func() error, error) {
		return t.deploy, t.replace("#!/bin/sh\necho 'the configuration is wrong' >&2\nexit 3\n")
	}},
	{"slow", func(t *experiment, _ *session) error { return pause(t.ctx, slowTime) }, nil}, // before the program starts
}

func order(do action) func(*experiment, *session) error {
	return func(t *experiment, s *session) (err error) {
		if t.cell.step == stepTLSOffer || t.cell.step == stepLateOffer {
			err = t.excuseOffered()
		}
		s.let(do)
		return err
	}
}

// excuseOffered excuses the connections over TLS that are offered, and are in the kit's hands. The new process has not got
// them, and the old one closes them: it can't know that, and both must not encrypt.
func (t *experiment) excuseOffered() error {
	conns, err := connsOf(os.Getpid())
	secure := netip.MustParseAddr(own.SecureHost)
	maps.DeleteFunc(conns, func(c tcpConn, _ bool) bool { return c.server.Addr() != secure })
	t.traffic.excuse(conns)
	return err
}

// kind is how it is injected.
func (f fault) kind() faultKind {
	return faults[slices.IndexFunc(faults, func(k faultKind) bool { return k.name == f })]
}

// errLate: to the old process a conversation that stands still is a new process that hangs, and it was killed before the kit
// could look at what it had. Requests that died with it can't be told from those that are lost.
const errLate = notPossibleError("the old process had given the new one up before the fault came; has it a longer ready timeout?")

// strike asks for the upgrade and injects the fault. When it returns, the fault is over, but for what was killed.
func (t *experiment) strike() (err error) {
	if t.cell.step == stepBegin {
		return t.strikeBefore()
	}
	if t.cell.step == stepDrain {
		q, err := t.target.begin(t.ctx, t.group, askTime)
		if err != nil {
			return err
		}
		defer func() {
			if qerr := q.finish(askTime); qerr != nil && err == nil && t.cell.fault != faultKillOld {
				err = fmt.Errorf("the request that held up the drain: %w", qerr)
			}
		}()
	}
	limit := uint64(0)
	if t.cell.step == stepStart && t.cell.fault == faultFilesNew {
		limit = noFiles
	}
	t.desk.arm(t.cell.step, limit)
	if err := t.group.Signal(t.first, t.signal); err != nil {
		return err
	}
	var s *session
	err = t.wait("the step "+string(t.cell.step), func() bool {
		select {
		case s = <-t.desk.reached:
		default:
		}
		return s != nil
	})
	if err != nil {
		return fmt.Errorf("step not reached: %w", err)
	}
	defer s.let(doGo) // whatever goes wrong
	t.desk.arm("", limit)
	moves := []step{stepOffer, stepTaken, stepTLSOffer, stepTLSTaken}
	if slices.Contains(moves, t.cell.step) && t.probation && !s.look().canGoBack() {
		// Not one such connection has moved while the new process was on probation.
		t.probation = false
		if t.cell.want(t.probation) == "" {
			return notPossibleError("connections move after the probation only")
		}
	}
	err = t.cell.fault.kind().inject(t, s)
	if errors.Is(err, os.ErrProcessDone) && t.group.Has(t.first) && !t.group.Has(s.victim()) {
		return errLate
	}
	return err
}

// strikeBefore is for faults that are there when the upgrade is asked for. They last
// for a while, in which it has to fail.
func (t *experiment) strikeBefore() error {
	undo, err := t.cell.fault.kind().before(t)
	if err != nil {
		return err
	}
	if err := t.group.Signal(t.first, t.signal); err != nil {
		return err
	}
	if t.cell.fault == faultNone {
		// That no upgrade has begun is not an error here.
		_ = within(t.ctx, askTime, func() bool { return t.newest().begun || !t.group.Has(t.first) })
		return t.ctx.Err()
	}
	err = pause(t.ctx, shortageTime)
	return errors.Join(err, undo())
}

// killOld kills the old process. What it had alone dies with it; what is in the hands
// of the new one or, on the way there, of the kit, has to live.
func (t *experiment) killOld(s *session) error {
	conns, err := t.frozenConns(t.first)
	for _, pid := range []int{os.Getpid(), s.look().child} {
		held, herr := connsOf(pid)
		err = errors.Join(err, herr)
		maps.DeleteFunc(conns, func(c tcpConn, _ bool) bool { return held[c] })
	}
	if err != nil {
		return err
	}
	t.traffic.excuse(conns)
	return t.group.Signal(t.first, syscall.SIGKILL)
}

// killNew kills the new process. The old one stands still until all that the kernel would have told it at once has
// been told: the last frame, the end of the handover socket, and the end of the process. What the new one had dies
// with it, also what the old one has yet: it may have been read from.
func (t *experiment) killNew(s *session) error {
	shim, victim := s.look().shim, s.victim()
	conns, err := t.frozenConns(victim)
	if err != nil {
		return err
	}
	if victim == shim {
		return t.group.Signal(shim, syscall.SIGKILL)
	}
	t.traffic.excuse(conns)
	if err := t.group.Freeze(t.first); err != nil {
		return err
	}
	err = t.group.Signal(victim, syscall.SIGKILL)
	s.let(doGo)
	if err == nil {
		err = t.wait("the end of the shim after its program's", func() bool { return !t.group.Has(shim) })
	}
	return errors.Join(err, t.group.Thaw(t.first))
}

// stop lets a process stand still for a while, in which the session goes on. If it is
// killed meanwhile, what it had dies with it.
func (t *experiment) stop(s *session, pid int, d time.Duration) error {
	conns, err := t.frozenConns(pid)
	if err != nil {
		return err
	}
	// On a busy machine it may have answered by now what the old one waits for.
	t.answered = t.cell.fault == faultStopNew && t.cell.step == stepProbation && s.look().nearlyOver()
	s.let(doGo)
	err = pause(t.ctx, d)
	if !t.group.Has(pid) { // only SIGKILL ends a process that is stopped
		t.traffic.excuse(conns)
		return err
	}
	return errors.Join(err, t.group.Thaw(pid))
}

// suspend stops everything for a while and lets it go on together: what a machine that slept is to programs that look
// at the monotonic clock only. The session goes on with them.
func (t *experiment) suspend(*session) error {
	live := t.group.Live()
	var err error
	for _, pid := range live {
		err = errors.Join(err, t.group.Freeze(pid))
	}
	if err == nil {
		err = pause(t.ctx, stopTime)
	}
	for _, pid := range live {
		err = errors.Join(err, t.group.Thaw(pid))
	}
	return err
}

// frozenConns stops a process and lists its connections: it gets no more of them.
func (t *experiment) frozenConns(pid int) (map[tcpConn]bool, error) {
	if err := t.group.Freeze(pid); err != nil {
		return nil, err
	}
	return connsOf(pid)
}
