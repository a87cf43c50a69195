package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"syscall"
	"time"
)

// strike asks for the upgrade and injects the fault. When it returns, the fault is over, but for what was killed.
func (t *trial) strike() (err error) {
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
	if moves := t.cell.step == stepOffer || t.cell.step == stepTaken; moves && t.probation && !s.look().canGoBack() {
		// Not one connection has moved while the new process was on probation.
		t.probation = false
		if t.cell.want(t.probation) == "" {
			return notPossibleError("connections move after the probation only")
		}
	}
	return t.inject(s)
}

// strikeBefore is for faults that are there when the upgrade is asked for. They last
// for a while, in which it has to fail.
func (t *trial) strikeBefore() error {
	undo, err := t.spoil()
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

// inject injects the fault into a session that stands still, and lets it go on.
func (t *trial) inject(s *session) error {
	shim, child := s.look().shim, s.look().child
	victim := cmp.Or(child, shim) // at the start the shim is the new process
	switch t.cell.fault {
	case faultKillOld:
		return t.killOld(child)
	case faultKillNew:
		return t.killNew(s, shim, victim)
	case faultStopOld:
		return t.stop(s, t.first, stopTime)
	case faultLongStopOld:
		return t.stop(s, t.first, longStopTime)
	case faultStopNew:
		return t.stop(s, victim, stopTime)
	case faultSuspend:
		return t.suspend()
	case faultCut:
		s.let(doCut)
	case faultTruncate:
		s.let(doTruncate)
	case faultGarbage:
		s.let(doGarbage)
	case faultFilesOld:
		return t.starve(s, t.first)
	case faultFilesNew:
		if t.cell.step != stepStart { // there the launcher has been told
			return t.starve(s, victim)
		}
	case faultSlow:
		return pause(t.ctx, slowTime)
	default:
		return fmt.Errorf("there is no way to inject %s at a step", t.cell.fault)
	}
	return nil
}

// killOld kills the old process. What it had alone dies with it; what is in the hands
// of the new one or, on the way there, of the kit, has to live.
func (t *trial) killOld(child int) error {
	clients, err := t.frozenClients(t.first)
	for _, pid := range []int{os.Getpid(), child} {
		held, herr := clientsOf(pid)
		err = errors.Join(err, herr)
		maps.DeleteFunc(clients, func(c string, _ bool) bool { return held[c] })
	}
	if err != nil {
		return err
	}
	t.traffic.excuse(clients)
	return t.group.Signal(t.first, syscall.SIGKILL)
}

// killNew kills the new process. The old one stands still until all that the kernel would have told it at once has
// been told: the last frame, the end of the handover socket, and the end of the process. What the new one had dies
// with it, also what the old one has yet: it may have been read from.
func (t *trial) killNew(s *session, shim, victim int) error {
	clients, err := t.frozenClients(victim)
	if err != nil {
		return err
	}
	if victim == shim {
		return t.group.Signal(shim, syscall.SIGKILL)
	}
	t.traffic.excuse(clients)
	if err := t.group.Freeze(t.first); err != nil {
		return err
	}
	if err := t.group.Signal(victim, syscall.SIGKILL); err != nil {
		return err
	}
	s.let(doGo)
	err = t.wait("the end of the shim after its program's", func() bool { return !t.group.Has(shim) })
	return errors.Join(err, t.group.Thaw(t.first))
}

// stop lets a process stand still for a while, in which the session goes on. If it is
// killed meanwhile, what it had dies with it.
func (t *trial) stop(s *session, pid int, d time.Duration) error {
	clients, err := t.frozenClients(pid)
	if err != nil {
		return err
	}
	// On a busy machine it may have answered by now what the old one waits for.
	t.answered = t.cell.fault == faultStopNew && t.cell.step == stepProbation && s.look().nearlyOver()
	s.let(doGo)
	err = pause(t.ctx, d)
	if !t.group.Has(pid) { // only SIGKILL ends a process that is stopped
		t.traffic.excuse(clients)
		return err
	}
	return errors.Join(err, t.group.Thaw(pid))
}

// suspend stops everything for a while and lets it go on together: what a machine that slept is to programs that look
// at the monotonic clock only. The session goes on with them.
func (t *trial) suspend() error {
	live := t.group.Live()
	for _, pid := range live {
		if err := t.group.Freeze(pid); err != nil {
			return err
		}
	}
	err := pause(t.ctx, stopTime)
	for _, pid := range live {
		err = errors.Join(err, t.group.Thaw(pid))
	}
	return err
}

// frozenClients stops a process and lists the clients' ends of its connections: it gets no more of them.
func (t *trial) frozenClients(pid int) (map[string]bool, error) {
	if err := t.group.Freeze(pid); err != nil {
		return nil, err
	}
	return clientsOf(pid)
}
