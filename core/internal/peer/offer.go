package peer

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Why an offer has no answer.
var (
	errGone = errors.New("the new process is gone")
	// ErrQuit is for an offer that was not sent.
	ErrQuit = errors.New("the drain has ended")
	// ErrCut is for an offer to a new process that lives, and from which nothing more can come. It can have taken the
	// connections.
	ErrCut = errors.New("the handover socket is gone, and the new process lives")
	// ErrNoAnswer is for a connection that has possibly moved: nobody reads from it here any more.
	ErrNoAnswer = errors.New("it is not known whether the new process has it")
)

// Room is how many established connections the new process takes; 0: none.
func (n *Next) Room() int {
	if _, ok := n.ctl.(*net.UnixConn); !ok || n.Plain {
		return 0
	}
	return max(n.Said().Room, 0)
}

// Takes reports whether the process that listens takes connections of this kind.
func (n *Next) Takes(kind string) bool {
	takes := n.takes.Load()
	return takes != nil && slices.Contains(*takes, kind)
}

// Exchange sends an offer, with the descriptors that it names, and returns the answer. The end of
// quit gives it up: ErrQuit if nothing was sent, and else ErrNoAnswer. An offer of which a part was sent is the last
// word, because this process has hung up then, and the new one has taken nothing. final reports whether
// the new process goes on by itself.
func (n *Next) Exchange(offer []byte, files []int, quit <-chan struct{}, final func() bool) (wire.Frame, error) {
	n.Frames.asked.Store(true)
	if err := n.sendOffer(offer, files, quit); err != nil {
		return wire.Frame{}, notSent(err, quit)
	}
	return n.awaitAnswer(quit, final)
}

// Interrupt ends the sending of an offer. It leaves another word alone.
func (n *Next) Interrupt() {
	n.sending.Lock()
	defer n.sending.Unlock()
	if n.offers {
		_ = n.ctl.SetWriteDeadline(time.Unix(1, 0))
	}
}

// beginOffer and endOffer are the bounds of what Interrupt ends.

func (n *Next) beginOffer() {
	n.sending.Lock()
	defer n.sending.Unlock()
	n.offers = true
	_ = n.ctl.SetWriteDeadline(time.Time{})
}

func (n *Next) endOffer() {
	n.sending.Lock()
	defer n.sending.Unlock()
	n.offers = false
}

// SayMoved says how many connections have moved.
func (n *Next) SayMoved(moved uint64) {
	_ = n.Say(wire.Moved, wire.MovedMsg{Moved: moved}, timing.Say)
}

// sendOffer writes an offer. There is no limit but quit: see awaitAnswer.
func (n *Next) sendOffer(b []byte, files []int, quit <-chan struct{}) error {
	n.writing <- struct{}{}
	defer func() { <-n.writing }()
	n.beginOffer()
	defer n.endOffer()
	if isClosed(quit) {
		return ErrQuit
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
func (n *Next) awaitAnswer(quit <-chan struct{}, final func() bool) (wire.Frame, error) {
	frames, silent := n.Frames, n.Frames.Silent
	poll := time.NewTicker(timing.AnswerPoll)
	defer poll.Stop()
	var last <-chan time.Time
	watch := n.Watch()
	for {
		select {
		case f := <-frames.answers:
			return f, nil
		case <-silent:
			silent = nil
			switch {
			case len(frames.answers) > 0:
			case HungUp(frames.Why) && final() && n.outlives():
				return wire.Frame{}, ErrCut
			case errors.Is(frames.Why, net.ErrClosed): // this process has hung up: the new one finds the offer all the same
			case HungUp(frames.Why) && n.outlives():
				return wire.Frame{}, ErrCut
			case HungUp(frames.Why):
				return wire.Frame{}, errGone
			case final():
				return wire.Frame{}, fmt.Errorf("%w: %w", wire.ErrGarbage, frames.Why)
			}
		case <-quit: // an answer may be on its way
			quit, last = nil, time.After(timing.InTime)
		case <-last:
			if (silent == nil || !watch.Unheard()) && len(frames.answers) == 0 {
				return wire.Frame{}, ErrNoAnswer
			}
			last = time.After(timing.InTime)
		case <-poll.C:
			if watch.Gone() && len(frames.answers) == 0 && n.takesBack() {
				if silent == nil && !HungUp(frames.Why) { // it may have answered, behind what is not understood
					return wire.Frame{}, ErrNoAnswer
				}
				return wire.Frame{}, errGone
			}
		}
	}
}

// outlives reports whether the new process is still there a while after it has hung up, which a process that ends does first.
func (n *Next) outlives() bool {
	end := time.After(timing.Outlives)
	for n.Lives() {
		select {
		case <-n.Exited:
			return n.Lives()
		case <-end:
			return n.Lives()
		case <-time.After(timing.InTime / 10):
		}
	}
	return false
}

// notSent says what it means that an offer could not be sent: the new process has nothing of it, and can't get the
// rest of one that it has a part of.
func notSent(err error, quit <-chan struct{}) error {
	switch {
	case errors.Is(err, fd.ErrTorn):
	case errors.Is(err, ErrQuit), isClosed(quit):
		return ErrQuit
	case HungUp(err):
		return errGone
	}
	return fmt.Errorf("handover socket: %w", err)
}
