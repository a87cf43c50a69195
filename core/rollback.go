package core

import (
	"cmp"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// resume serves again: from a probation, in which all was kept, or from a drain with a way back,
// which is undone. What was told to leave, leaves.
func (l *lifecycle) resume(h *outgoing) {
	if d := l.drainer; d != nil {
		d.back()
		l.drainer, l.drained = nil, nil
		l.u.conns.Reopen()
		l.phase.deadline.Store(0)
		l.phase.asksToLeave.Store(false)
		l.phase.goodbye.Renew()
		l.u.servers.mu.Lock()
		l.phase.draining.Store(false)
		l.u.servers.mu.Unlock()
	}
	l.u.passing.admit()
	l.u.events.renew()
	l.setState(StateCurrent)
	if gone := h.missing(); gone != nil {
		l.log.Error("the program had closed these listeners, or accepts from them by itself: they are not served again; upgrade to a good version", "addresses", gone)
	}
	resumeAll(h.paused)
	for _, c := range h.quiet {
		c.resume()
	}
	l.u.keepListeners()
	l.u.tellLaunch()
	l.mainAgain(h.err)
}

// mainAgain tells the service manager that the service is this process's again: or its foreign
// master's, whose main process that has been.
func (l *lifecycle) mainAgain(why error) {
	pid := os.Getpid()
	if m := l.u.boot.master(); l.taken != nil && m != nil {
		pid = m.PID
	}
	cmp.Or(l.manager, l.taken).ServesOn(pid, l.u.generation, len(l.u.olderGenerations()), rolledBackNews(why))
}

// restorePIDFile names this process in the pid file again, after a new one that is given up,
// which had written its own number there or removed the file with its end: it may have
// stood still when it was given up.
func (l *lifecycle) restorePIDFile(next *peer.Next) {
	if l.u.next == nil && l.state() <= StateUpgrading {
		l.u.pid.restore(l.u.servicePID(), next.Says(), next.PID())
	}
}

// reportRolledBack tells why the service was taken back, and that the upgrade has failed.
func (l *lifecycle) reportRolledBack(h *outgoing) {
	l.u.pid.discard() // it is left if this process stops
	why, then := h.err, "serves again"
	if h.machine.Stopping {
		then = "stops"
	}
	l.pending = l.pending || h.nextAsks
	l.explaining++
	go func() {
		if errors.Is(why, errEndedOnProbation) && !h.next.Ended() {
			why = errHungUpOnProbation
		}
		err := rolledBack(l.u.explain(h.next, why))
		l.log.Error("upgrade rolled back; this process "+then, l.u.logFailed(err)...)
		l.u.concluded(upgradeReply{err: err}, h.next.PID(), h)
		l.u.post(func(l *lifecycle) { l.explained(err) })
		if h.asker != nil {
			h.asker <- upgradeReply{err: err}
		}
	}()
}

// explained hears that the log says why an upgrade was rolled back, so the next one can begin.
func (l *lifecycle) explained(err error) {
	l.explaining--
	if l.state() != StateCurrent {
		return
	}
	if start := new(StartError); errors.As(err, &start) && len(start.Stderr) > 0 {
		cmp.Or(l.manager, l.taken).Explain(l.u.generation, len(l.u.olderGenerations()), rolledBackNews(err))
	}
	l.upgradeAgain()
}

// rolledBackNews is a rollback in one line.
func rolledBackNews(err error) string { return "the last upgrade was " + news("rolled back", err) }

// reportTakenBack is reportRolledBack for an upgrade that was reported as done.
func (l *lifecycle) reportTakenBack(h *outgoing) {
	why := h.err
	l.pending = l.pending || h.again || h.nextAsks
	l.explaining++
	l.u.note(control.StepTakenBack, h.result.PID)
	go func() {
		err := rolledBack(l.u.explain(h.next, why))
		l.log.Error("upgrade rolled back late; this process serves again", l.u.logFailed(err)...)
		l.u.concludedLate(err, h)
		l.u.post(func(l *lifecycle) { l.explained(err) })
	}()
}

// lostAfterConfirm decides about a new process that can't be heard any more, and was told to go on by
// itself.
func (l *lifecycle) lostAfterConfirm(h *outgoing, e handover.OldEvent) {
	if h != l.outgoing {
		return
	}
	switch {
	case h.machine.Phase == handover.OldDraining:
		h.err = errEndedInDrain
	case !errors.Is(h.err, errSilent): // for which it was killed
		h.err = errEndedOnProbation
	}
	if e == handover.Deaf {
		l.log.Warn("the new process lives and can't be heard any more: there is no way back to this one", "new_pid", h.next.PID(), "error", h.next.Frames.Why)
	}
	l.stepOutgoing(h, l.unlessClosed(h, e))
}

// unlessClosed returns what ends the way back instead of e, if this process has nothing to serve
// on any more.
func (l *lifecycle) unlessClosed(h *outgoing, e handover.OldEvent) handover.OldEvent {
	if h.machine.Phase != handover.OldDraining || e == handover.Deaf || l.canResume(h) {
		return e
	}
	l.log.Error("the new process does not serve, and this one can't any more: the program has closed its listeners", "new_pid", h.next.PID(), "error", h.err)
	return handover.Drained
}

// claimed returns what the new process has use for.
func (h *outgoing) claimed() (claimed []passable) {
	for i, p := range h.passed {
		if !slices.Contains(h.next.Said().Unclaimed, i) {
			claimed = append(claimed, p)
		}
	}
	return claimed
}

// closeForGood closes what there is no way back for: listeners that the new process has no use for,
// whose clients are to be refused and not to wait in a queue, and those that the program accepts
// from itself.
func (l *lifecycle) closeForGood(h *outgoing) {
	used := h.claimed()
	var list []*listener
	for _, ln := range only[*listener](l.u.passing.all()) {
		if !ln.waits() || !slices.Contains(used, passable(ln)) {
			l.u.passing.remove(ln)
			list = append(list, ln)
		}
	}
	closeAll(list, false)
}

// canResume reports whether this process could serve again: some of it, where nobody else would, and
// under a supervisor, which starts another worker, all of it.
func (l *lifecycle) canResume(h *outgoing) bool {
	serves, lacks := false, false
	for _, ln := range h.paused {
		switch {
		case ln.origin.Network == networkControl:
		case ln.waits() && !isClosed(ln.closed):
			serves = true
		default:
			lacks = true
		}
	}
	open := l.u.passing.all()
	for _, c := range h.quiet {
		if slices.Contains(open, passable(c)) {
			serves = serves || !lacks
		} else {
			lacks = true
		}
	}
	return serves && (!lacks || l.u.link() == nil)
}

// missing lists what this process does not serve again, although the new one did.
func (h *outgoing) missing() (addresses []string) {
	for _, ln := range h.paused {
		if isClosed(ln.closed) {
			addresses = append(addresses, ln.Addr().String())
		}
	}
	return addresses
}

// closeWay ends the way back of a drain that goes on.
func (l *lifecycle) closeWay(h *outgoing) {
	h.endWatch()
	l.phase.endLife()
	all := l.u.passing.finish()
	forget(only[*namedFile](all))
	closeAll(only[*listener](all), false)
	go endReading(only[*PacketConn](all), h.next)
	l.setState(l.state()) // the supervisor hears that there is no way back
	l.drainer.release()
}

// lastLook ends the way back when nothing is left of the drain, if the new process, which has answered, is there.
// Otherwise its last words, or its end, are on their way and decide.
func (l *lifecycle) lastLook(d *drainer, h *outgoing) {
	if d == l.drainer && h.machine.Phase == handover.OldDraining && !h.next.Vanished() {
		l.stepOutgoing(h, handover.Drained)
	}
}

// watch makes the lifecycle look now and then whether the new process is there. Its end is heard, but
// not where another process holds its end of the handover socket open: a script around it that outlives it.
func (h *outgoing) watch() { h.look, h.watched = time.NewTicker(timing.Reap), h.next.Watch() }

func (h *outgoing) endWatch() {
	if h.look != nil {
		h.look.Stop()
		h.look = nil
	}
}

// looked takes the service back from a process that is no more. What it has said last comes first: it may have left the
// service to a next one.
func (l *lifecycle) looked() {
	h := l.outgoing
	if h.watched.Gone() {
		h.heardOut = true
		l.lostAfterConfirm(h, handover.Ended)
	}
}
