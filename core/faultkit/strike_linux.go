package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
)

// strike asks for the upgrade and injects the fault. When it returns, the fault is
// over, but for what was killed.
func (t *trial) strike() (err error) {
	if t.cell.step == stepBegin {
		return t.strikeBefore()
	}
	if t.cell.step == stepDrain {
		q, err := t.target.begin(t.group, askTime)
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
		limit = startFiles
	}
	t.desk.arm(t.cell.step, limit)
	if err := t.group.Signal(t.first, t.signal); err != nil {
		return err
	}
	var h *hold
	err = t.wait("the step "+string(t.cell.step), func() bool {
		select {
		case h = <-t.desk.reached:
		default:
		}
		return h != nil
	})
	if err != nil {
		return fmt.Errorf("step not reached: %w", err)
	}
	defer h.let(doGo) // whatever goes wrong
	t.desk.arm("", limit)
	if moves := t.cell.step == stepOffer || t.cell.step == stepTaken; moves && t.probation && !h.look().canGoBack() {
		// Not one connection has moved while the new process was on probation.
		t.probation = false
		if t.cell.want(t.probation) == nil {
			return notPossibleError("connections move after the probation only")
		}
	}
	return t.inject(h)
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
		return t.started()
	}
	err = pause(t.ctx, shortageTime)
	return errors.Join(err, undo())
}

// started waits until an upgrade has begun. That it has not is not an error here.
func (t *trial) started() error {
	within(askTime, func() bool { return t.newest().begun || !t.group.Has(t.first) || t.ctx.Err() != nil })
	return t.ctx.Err()
}

// inject injects the fault into a session that stands still, and lets it go on.
func (t *trial) inject(h *hold) error {
	shim, child := h.look().shim, h.look().child
	victim := child
	if victim == 0 {
		victim = shim // at the start it is the new process
	}
	switch t.cell.fault {
	case faultKillOld:
		return t.killOld(child)
	case faultKillNew:
		return t.killNew(h, shim, victim)
	case faultStopOld:
		return t.stop(h, t.first, stopTime)
	case faultLongStopOld:
		return t.stop(h, t.first, longStopTime)
	case faultStopNew:
		return t.stop(h, victim, stopTime)
	case faultSuspend:
		return t.suspend()
	case faultCut:
		h.let(doCut)
	case faultTruncate:
		h.let(doTruncate)
	case faultGarbage:
		h.let(doGarbage)
	case faultFilesOld:
		return t.starve(h, t.first)
	case faultFilesNew:
		if t.cell.step == stepStart {
			h.let(doGo) // the launcher has been told
			return nil
		}
		return t.starve(h, victim)
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
	if err != nil {
		return err
	}
	for _, pid := range []int{os.Getpid(), child} {
		held, err := clientsOf(pid)
		if err != nil {
			return err
		}
		for c := range held {
			delete(clients, c)
		}
	}
	t.traffic.excuse(clients)
	return t.group.Signal(t.first, syscall.SIGKILL)
}

// killNew kills the new process. The old one stands still until all that the kernel
// would have told it at once has been told: the last frame, the end of the control
// socket, and the end of the process. What the new one had dies with it, also what
// the old one has yet: it may have been read from.
func (t *trial) killNew(h *hold, shim, victim int) error {
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
	h.let(doGo)
	err = t.wait("the end of the shim after its program's", func() bool { return !t.group.Has(shim) })
	return errors.Join(err, t.group.Thaw(t.first))
}

// stop lets a process stand still for a while, in which the session goes on. If it is
// killed meanwhile, what it had dies with it.
func (t *trial) stop(h *hold, pid int, d time.Duration) error {
	clients, err := t.frozenClients(pid)
	if err != nil {
		return err
	}
	// On a busy machine it may have answered by now what the old one waits for.
	t.answered = t.cell.fault == faultStopNew && t.cell.step == stepProbation && h.look().nearlyOver()
	h.let(doGo)
	err = pause(t.ctx, d)
	if !t.group.Has(pid) { // only SIGKILL ends a process that is stopped
		t.traffic.excuse(clients)
		return err
	}
	return errors.Join(err, t.group.Thaw(pid))
}

// suspend stops everything for a while and lets it go on together: what a machine
// that slept is to programs that look at the monotonic clock only. The session goes
// on with them.
func (t *trial) suspend() error {
	var asleep []int
	for _, p := range t.group.members() {
		if p.Ended() {
			continue
		}
		if err := t.group.Freeze(p.PID); err != nil {
			return err
		}
		asleep = append(asleep, p.PID)
	}
	err := pause(t.ctx, stopTime)
	for _, pid := range asleep {
		err = errors.Join(err, t.group.Thaw(pid))
	}
	return err
}

// frozenClients stops a process and lists the clients' ends of its connections: it
// gets no more of them.
func (t *trial) frozenClients(pid int) (map[netip.AddrPort]bool, error) {
	if err := t.group.Freeze(pid); err != nil {
		return nil, err
	}
	return clientsOf(pid)
}
