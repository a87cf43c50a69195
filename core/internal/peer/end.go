package peer

import (
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// SeeOut returns when a new process that was told to go has ended and was reaped. heard is called
// with what it says until then, unless that can be the answer to a signal from here, and look now
// and then while it may finish what it has accepted.
func (n *Next) SeeOut(stop time.Duration, finished <-chan struct{}, heard func(wire.Frame), look func()) {
	defer n.release()
	defer n.Frames.Mute()
	if n.saysReady() {
		stop = max(stop, n.Said().Stop())
		if n.Told.Load() && !isClosed(n.Frames.Silent) {
			n.rollBack(stop, finished, heard, look)
			return
		}
	}
	n.terminate(stop, finished, heard)
}

// rollBack is for one that may be current and can be heard. SIGTERM would be the operator's word to
// it. As long as it answers it has the time of a stop to finish what it accepted; this
// process does not wait for that when it has finished itself.
func (n *Next) rollBack(stop time.Duration, finished <-chan struct{}, heard func(wire.Frame), look func()) {
	limit := time.NewTimer(timing.Add(stop, timing.Kill))
	defer limit.Stop()
	beat := time.NewTicker(timing.Say)
	defer beat.Stop()
	watch := n.Watch()
	for missed, pongs := time.Duration(0), n.Frames.Pongs.Load(); missed < timing.Kill; {
		select {
		case <-n.Exited:
			n.hearOut(heard)
			return
		case f := <-n.Frames.Rest:
			heard(f)
		case <-limit.C:
			missed = timing.Kill
		case <-beat.C:
			look()
			unheard := watch.Unheard()
			switch now := n.Frames.Pongs.Load(); {
			case isClosed(n.Frames.Silent): // nothing but the limit tells, if there is one
				if stop >= timing.Unlimited && isClosed(finished) {
					return
				}
			case now == pongs && unheard: // it may be the answer
			case now == pongs:
				missed += timing.Say
			case isClosed(finished):
				return
			default:
				pongs, missed = now, 0
			}
			_ = n.Say(wire.Ping, nil, timing.Say)
		}
	}
	n.Kill()
	<-n.Exited
	n.hearOut(heard)
}

// terminate is for one that has not said ready, or can't be heard. One that has said ready,
// while this process was stopped, may have taken over and has the time of a stop to finish what
// it accepted.
func (n *Next) terminate(stop time.Duration, finished <-chan struct{}, heard func(wire.Frame)) {
	if isClosed(n.Exited) || n.saysReady() && isClosed(n.Frames.Silent) && n.Ended() {
		n.hearOut(heard) // it was no signal of this process
	}
	if isClosed(n.Exited) {
		return
	}
	if n.Hangs && !n.saysReady() && n.saysWhere() {
		return
	}
	others := n.descendants()
	others.Signal(syscall.SIGTERM)
	defer others.End(timing.Kill)
	n.send(syscall.SIGTERM)
	if n.EndsWithin(timing.Kill) || n.saysReady() && n.endsOrIsLeft(stop, finished) {
		return
	}
	n.Kill()
	<-n.Exited
}

// saysWhere reports whether the process has written the stacks of its goroutines to its stderr, and has ended. By
// SIGABRT every Go program does that, unless it handles the signal itself. SIGQUIT does the same in most, but asks
// one with an Upgrader to stop. A process that has not said hello may be no Go program.
func (n *Next) saysWhere() bool {
	if n.Says() == 0 {
		return false
	}
	n.send(syscall.SIGABRT)
	return n.EndsWithin(timing.Dump)
}

// endsOrIsLeft reports whether the process has ended in time. One whose time has no limit is left to itself when this
// process has finished.
func (n *Next) endsOrIsLeft(stop time.Duration, finished <-chan struct{}) bool {
	if stop < timing.Unlimited {
		return n.EndsWithin(stop)
	}
	select {
	case <-n.Exited:
	case <-finished:
	}
	return true
}

// hearOut hears what a process that has ended has said last.
func (n *Next) hearOut(heard func(wire.Frame)) {
	limit := time.After(timing.LastWords) // another process may hold its end of the socket open
	watch := n.Watch()
	for {
		select {
		case f := <-n.Frames.Rest:
			heard(f)
		case <-n.Frames.Silent:
			return
		case <-limit:
			unheard := watch.Unheard()
			select {
			case f := <-n.Frames.Rest:
				heard(f)
			default:
				if !unheard {
					return
				}
			}
			limit = time.After(timing.LastWords)
		}
	}
}
