package core

import (
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// seeOut returns when a new process that was told to go has ended and was reaped. heard is called
// with what it says until then, unless that can be the answer to a signal from here, and look now
// and then while it may finish what it has accepted.
func (n *nextProcess) seeOut(stop time.Duration, finished <-chan struct{}, heard func(wire.Frame), look func()) {
	defer n.release()
	if n.saysReady() {
		stop = max(stop, n.said().Stop())
		if n.told.Load() && !isClosed(n.frames.silent) {
			n.rollBack(stop, finished, heard, look)
			return
		}
	}
	n.terminate(stop, heard)
}

// rollBack is for one that may be current and can be heard. SIGTERM would be the operator's word to
// it. As long as it answers it has the time of a stop to finish what it accepted; this
// process does not wait for that when it has finished itself.
func (n *nextProcess) rollBack(stop time.Duration, finished <-chan struct{}, heard func(wire.Frame), look func()) {
	limit := time.NewTimer(stop + timing.Kill)
	defer limit.Stop()
	beat := time.NewTicker(timing.Say)
	defer beat.Stop()
	defer n.frames.mute()
	for missed, pongs := time.Duration(0), n.frames.pongs.Load(); missed < timing.Kill; {
		select {
		case <-n.exited:
			n.hearOut(heard)
			return
		case f := <-n.frames.rest:
			heard(f)
		case <-limit.C:
			missed = timing.Kill
		case <-beat.C:
			look()
			switch now := n.frames.pongs.Load(); {
			case isClosed(n.frames.silent): // nothing but the limit tells
			case now == pongs:
				missed += timing.Say
			case isClosed(finished):
				return
			default:
				pongs, missed = now, 0
			}
			_ = n.say(wire.Ping, nil, timing.Say)
		}
	}
	n.kill()
	<-n.exited
}

// terminate is for one that has not said ready, or can't be heard. One that has said ready,
// while this process was stopped, may have taken over and has the time of a stop to finish what
// it accepted.
func (n *nextProcess) terminate(stop time.Duration, heard func(wire.Frame)) {
	if isClosed(n.exited) || n.saysReady() && isClosed(n.frames.silent) && n.ended() {
		n.hearOut(heard) // it was no signal of this process
	}
	if isClosed(n.exited) {
		return
	}
	defer n.frames.mute()
	others := n.descendants()
	others.Signal(syscall.SIGTERM)
	defer others.End(timing.Kill)
	n.send(syscall.SIGTERM)
	if n.endsWithin(timing.Kill) || n.saysReady() && n.endsWithin(stop) {
		return
	}
	n.kill()
	<-n.exited
}

// hearOut hears what a process that has ended has said last.
func (n *nextProcess) hearOut(heard func(wire.Frame)) {
	limit := time.After(timing.LastWords) // another process may hold its end of the socket open
	for {
		select {
		case f := <-n.frames.rest:
			heard(f)
		case <-n.frames.silent:
			return
		case <-limit:
			if !n.unread() {
				return
			}
			limit = time.After(timing.LastWords) // this process has not come to read it
		}
	}
}
