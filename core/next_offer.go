package core

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Why an offer has no answer.
var (
	errTakerGone = errors.New("the new process is gone")
	// errStopMoving: the drain is over.
	errStopMoving = errors.New("the drain has ended")
	// errNoAnswer: it may have moved, so nobody reads from it here any more.
	errNoAnswer = errors.New("it is not known whether the new process has it")
)

// room is how many established connections the new process takes; 0: none.
func (n *nextProcess) room() int {
	if _, ok := n.ctl.(*net.UnixConn); !ok || n.plain {
		return 0
	}
	return max(n.said().Room, 0)
}

// exchange sends an offer, with the descriptors that it names, and returns the answer. The end of
// quit gives it up: errStopMoving if nothing was sent, and else errNoAnswer. final reports whether
// the new process goes on by itself.
func (n *nextProcess) exchange(offer []byte, files []int, quit <-chan struct{}, final func() bool) (wire.Frame, error) {
	n.frames.asked.Store(true)
	if err := n.sendOffer(offer, files, quit); err != nil {
		return wire.Frame{}, notSent(err, quit)
	}
	return n.awaitAnswer(quit, final)
}

// interrupt ends the sending of an offer.
func (n *nextProcess) interrupt() { _ = n.ctl.SetWriteDeadline(time.Unix(1, 0)) }

// sayMoved says how many connections have moved.
func (n *nextProcess) sayMoved(moved uint64) {
	_ = n.say(wire.Moved, wire.MovedMsg{Moved: moved}, timing.Say)
}

// sendOffer writes an offer. There is no limit but quit: see awaitAnswer.
func (n *nextProcess) sendOffer(b []byte, files []int, quit <-chan struct{}) error {
	n.writing <- struct{}{}
	defer func() { <-n.writing }()
	_ = n.ctl.SetWriteDeadline(time.Time{})
	if isClosed(quit) {
		return errStopMoving
	}
	ctl, ok := n.ctl.(*net.UnixConn)
	if !ok {
		return fd.ErrUnsupported
	}
	return fd.Send(ctl, b, files)
}

// awaitAnswer returns the answer to an offer. As long as the new process lives it may
// still take what it was offered: there is no other limit than the drain's. One that
// is not understood while the upgrade can be rolled back is about to be ended.
func (n *nextProcess) awaitAnswer(quit <-chan struct{}, final func() bool) (wire.Frame, error) {
	talk, silent := n.frames, n.frames.silent
	poll := time.NewTicker(timing.AnswerPoll)
	defer poll.Stop()
	var last <-chan time.Time
	for {
		select {
		case f := <-talk.answers:
			return f, nil
		case <-silent:
			silent = nil
			switch {
			case len(talk.answers) > 0:
			case hungUp(talk.why):
				return wire.Frame{}, errTakerGone
			case final():
				return wire.Frame{}, fmt.Errorf("%w: %w", wire.ErrGarbage, talk.why)
			}
		case <-quit: // an answer may be on its way
			quit, last = nil, time.After(timing.InTime)
		case <-last:
			if len(talk.answers) == 0 && (silent == nil || !n.unread()) {
				return wire.Frame{}, errNoAnswer
			}
			last = time.After(timing.InTime) // this process has not come to read it
		case <-poll.C:
			if !n.lives() {
				return wire.Frame{}, errTakerGone
			}
		}
	}
}

// notSent says what it means that an offer could not be sent.
func notSent(err error, quit <-chan struct{}) error {
	switch {
	case errors.Is(err, errStopMoving):
		return err
	case isClosed(quit):
		return errNoAnswer
	case hungUp(err):
		return errTakerGone
	}
	return fmt.Errorf("handover socket: %w", err)
}
