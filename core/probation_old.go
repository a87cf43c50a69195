package core

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Why a new process did not pass its probation.
var (
	errEndedOnProbation  = errors.New("it ended on probation")
	errHungUpOnProbation = errors.New("it closed the handover socket on probation")
	errSilent            = fmt.Errorf("%w: it did not answer for %v on probation", ErrTimeout, timing.Silence)
	errRejectedItself    = errors.New("it rejected itself")
	errEndedInDrain      = errors.New("it ended while this process drained")
)

// oldProbation is the time in which the old process waits for a new one that accepts: for the end
// of the probation, and then for its acknowledgement.
type oldProbation struct {
	probation time.Duration   // 0 if there is none
	asked     context.Context // the upgrade's; its end gives it up
	committed time.Time       // when the new process was about to be told to accept
	paused    []*listener     // of this process, while the new one accepts
	quiet     []*PacketConn   // paused, too
	mover     *conns.Mover    // nil if connections do not move

	beat        *time.Ticker // nil when the wait is over
	most        int          // beats without an answer
	missed      int          // of them in a row. Beats are counted, not time: this process may stand still too
	unconfirmed int          // beats since confirm was said
	pongs       uint32       // as of the last beat
	over        <-chan time.Time
	killed      bool // the new process was killed
	again       bool // the new process was told to do one more upgrade
	nextAsks    bool // the new process was asked for one, which it remembers itself
	heardOut    bool // that the new process can't be heard any more is known

	look    *time.Ticker // whether the new process is there, while this one drains; nil before and after
	watched peer.Watch   // since commit, and anew since the drain has begun
}

// beats, ends, canceled and looks are channels for the lifecycle, nil when nobody waits.

func (h *outgoing) beats() <-chan time.Time {
	if h == nil || h.beat == nil {
		return nil
	}
	return h.beat.C
}

func (h *outgoing) ends() <-chan time.Time {
	if h == nil || h.beat == nil {
		return nil
	}
	return h.over
}

func (h *outgoing) canceled() <-chan struct{} {
	if h == nil || h.beat == nil {
		return nil
	}
	return h.asked.Done()
}

func (h *outgoing) looks() <-chan time.Time {
	if h == nil || h.look == nil {
		return nil
	}
	return h.look.C
}

// frames is what the new process says, and silent is closed when it can't be heard any more.
// Both are nil before it is ready, and when it is seen out.

func (h *outgoing) frames() <-chan wire.Frame {
	if h == nil || h.next == nil || h.next.Plain || h.leaves {
		return nil
	}
	return h.next.Frames.Rest
}

func (h *outgoing) silent() <-chan struct{} {
	if h.frames() == nil || h.heardOut {
		return nil
	}
	return h.next.Frames.Silent
}

// pause is before the new process is told to accept: what it can do without opening anything
// has to be all of the way back.
func (l *lifecycle) pause(h *outgoing) {
	l.u.pid.prepareBack(l.u.servicePID())
	l.u.next, h.next.Served = h.next, true
	l.setState(StateProbation)
	h.paused = only[*listener](h.claimed())
	pauseAll(h.paused)
}

// commit tells the new process that it is current, and lets connections move to it.
func (l *lifecycle) commit(h *outgoing, probation time.Duration) {
	msg := wire.CommitMsg{DrainMillis: l.cfg.drainTimeout.Milliseconds()}
	share := 1.0
	h.probation = probation
	if probation > 0 {
		share, msg.ProbationMillis = l.cfg.share, max(probation.Milliseconds(), 1)
		l.log.Info("on probation", "new_pid", h.result.PID, "probation", probation)
		l.u.note(control.StepProbation, h.result.PID)
	} else {
		h.again = l.pending
		msg.Again = h.again
	}
	h.mover = l.prepareMove(h.next, share, probation <= 0)
	l.handTickets(h.next)
	l.u.tellNext(h.next)
	if err := h.next.Say(wire.Commit, msg, timing.Word); err != nil {
		l.log.Warn("the new process was not told that it is current", "error", err) // its end is heard
	}
	if h.mover != nil {
		h.mover.Start()
	}
	every := timing.MaxBeat
	if probation > 0 {
		every = min(timing.MaxBeat, max(probation/4, timing.MinBeat))
		h.over = time.After(probation)
	}
	h.beat, h.most, h.watched = time.NewTicker(every), int(timing.Silence/every), h.next.Watch()
}

// prepareMove makes the mover, if connections can move to next.
func (l *lifecycle) prepareMove(next *peer.Next, share float64, final bool) *conns.Mover {
	if !l.cfg.handoff {
		return nil
	}
	m := conns.NewMover(next, l.u.conns, share, final, l.cfg.drainTimeout/2, l.log)
	if m != nil {
		l.u.conns.MoveBy(m)
	}
	return m
}

// beatProbation counts what was not answered, and asks anew.
func (l *lifecycle) beatProbation() {
	h := l.outgoing
	unheard := h.watched.Unheard() // before the count: a pong may be on its way there
	if n := h.next.Frames.Pongs.Load(); n != h.pongs {
		h.pongs, h.missed = n, 0
	} else if !unheard {
		h.missed++
	}
	silent := h.missed > h.most
	if h.machine.Phase == handover.OldAsked {
		h.unconfirmed++
		silent = silent || h.unconfirmed > h.most*int(timing.Confirm/timing.Silence)
	}
	if silent {
		h.err = errSilent
		l.stepOutgoing(h, l.inTime(handover.Silent, handover.SilentLate))
	}
	if l.outgoing == h {
		_ = h.next.Say(wire.Ping, nil, timing.Say) // its end is heard
	}
}

// inTime returns one event, or the other one if the new process, which lives, may have
// decided to go on alone, because this one has stood still: the two must not both serve.
func (l *lifecycle) inTime(in, late handover.OldEvent) handover.OldEvent {
	if time.Since(l.outgoing.committed) > timing.Add(l.outgoing.probation, timing.TooLate) {
		return late
	}
	return in
}

// probationDue asks for one more answer, with which the new process has passed.
func (l *lifecycle) probationDue() {
	l.outgoing.over = nil
	l.stepOutgoing(l.outgoing, handover.Due)
}

// canceled gives the upgrade up, which its caller does not want any more.
func (l *lifecycle) canceled() {
	h := l.outgoing
	why := context.Cause(h.asked)
	h.asked = context.Background()
	h.err = why
	l.stepOutgoing(h, l.inTime(handover.Canceled, handover.CanceledLate))
	if l.outgoing == h {
		l.log.Warn("the upgrade was given up too late", "error", why)
	}
}

// heard is a word of the new process.
func (l *lifecycle) heard(f wire.Frame) {
	h := l.outgoing
	switch f.Type {
	case wire.Serves:
		l.relieved()
	case wire.Cut:
		l.cutOlder(f)
	case wire.Stops:
		l.serviceStops()
	case wire.Returned:
		h.returned = true
	case wire.Again:
		h.nextAsks = true
	case wire.Promote:
		if h.machine.Phase == handover.OldProbation && h.over != nil {
			l.log.Info("the probation ends now: an operator of the new process asks for it", "new_pid", h.next.PID())
			l.probationDue()
		}
	case wire.Reject, wire.Failed: // which it says if it has not heard commit yet
		h.err = heardRejection(f)
		l.stepOutgoing(h, l.unlessClosed(h, handover.Rejected))
	case wire.Settled:
		l.log.Info("the new process has the service for good", "new_pid", h.next.PID())
		l.stepOutgoing(h, handover.Settled)
	case wire.Pong:
		l.stepOutgoing(h, handover.Pong)
	case wire.Confirmed:
		e := handover.Confirmed
		if h.next.Vanished() {
			e = handover.ConfirmedDead
		}
		l.relieved() // by now it reads datagrams, or has none to read
		h.machine.NoWay = !l.canResume(h)
		l.stepOutgoing(h, e)
	}
}

// relieved hears that the new process reads datagrams, too.
func (l *lifecycle) relieved() {
	h := l.outgoing
	if isClosed(h.next.Reads) {
		return
	}
	close(h.next.Reads)
	if h.machine.Phase > handover.OldDraining {
		return
	}
	h.quiet = only[*PacketConn](h.claimed())
	for _, c := range h.quiet {
		c.pause()
	}
}

// lost hears that the new process can't be heard any more. All that it has said was.
func (l *lifecycle) lost() {
	h := l.outgoing
	h.heardOut = true
	why := h.next.Frames.Why
	switch h.machine.Phase {
	case handover.OldProbation:
		if !errors.Is(h.err, errSilent) { // for which it was killed
			h.err = errEndedOnProbation
		}
		e := handover.Ended
		if !peer.HungUp(why) {
			h.err, e = fmt.Errorf("%w: handover socket: %w", errHungUpOnProbation, why), handover.Deaf
		}
		l.stepOutgoing(h, e)
	case handover.OldAsked, handover.OldDraining: // if it lives it may serve, for all that can be heard
		go func() { // its end may be noticed a little later
			e := handover.Deaf
			if peer.HungUp(why) && h.next.Ended() {
				e = handover.Ended
			}
			l.u.post(func(l *lifecycle) { l.lostAfterConfirm(h, e) })
		}()
	}
}

// endOldProbation ends the wait for the new process.
func (l *lifecycle) endOldProbation(h *outgoing) {
	if h.beat != nil {
		h.beat.Stop()
		h.beat = nil
	}
}
