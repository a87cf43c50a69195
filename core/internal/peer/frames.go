package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// Frames is what a new process says after ready. One goroutine reads it, for all
// that wait for it.
type Frames struct {
	Rest    chan wire.Frame // for the lifecycle
	answers chan wire.Frame // answers to offers, for the mover; room for the one
	Silent  chan struct{}   // closed when nothing more will be heard
	Why     error           // valid once silent

	Ignored chan struct{} // closed when nobody takes words any more
	ignore  sync.Once
	asked   atomic.Bool   // an offer waits for its answer
	Pongs   atomic.Uint32 // answers to Ping
	ponged  chan struct{} // a token for the last of them; room for one

	Followed chan struct{} // a token for each process that was entrusted to the new one, and knows it
	follow   func(heard)   // what Follows leads to

	Answer  atomic.Pointer[func(wire.Frame)]      // answers Ask; nil: it is not answered
	Account atomic.Pointer[func(wire.AccountMsg)] // takes Account, and answers; nil: it is not taken
	Noted   atomic.Pointer[func()]                // hears Noted; nil: nobody does
}

func newFrames() *Frames {
	return &Frames{
		Followed: make(chan struct{}, 64), follow: func(heard) {},
		Rest: make(chan wire.Frame), answers: make(chan wire.Frame, 1),
		Silent: make(chan struct{}), Ignored: make(chan struct{}), ponged: make(chan struct{}, 1),
	}
}

// listen hears the new process out.
func (t *Frames) listen(in ear) {
	defer close(t.Silent)
	for t.Why == nil {
		f, err := in.readAlone()
		if err != nil {
			t.Why = err
			return
		}
		t.Why = t.heard(f)
	}
}

// heard passes a frame on. One of a type that this version does not know is nothing.
func (t *Frames) heard(h heard) error {
	f := h.Frame
	switch f.Type {
	case wire.Taken:
		if !t.asked.Swap(false) {
			return fmt.Errorf("%w: a taken frame that answers nothing", wire.ErrGarbage)
		}
		t.answers <- f
		return nil
	case wire.Pong:
		t.Pongs.Add(1)
		select {
		case t.ponged <- struct{}{}:
		default:
		}
	case wire.Ask:
		if answer := t.Answer.Load(); answer != nil {
			go (*answer)(f)
		}
		return nil
	case wire.Follows:
		t.follow(h)
		return nil
	case wire.Account:
		var msg wire.AccountMsg
		if err := f.Decode(&msg); err != nil {
			return err
		}
		if take := t.Account.Load(); take != nil {
			(*take)(msg)
		}
		return nil
	case wire.Noted:
		if noted := t.Noted.Load(); noted != nil {
			(*noted)()
		}
		return nil
	case wire.Followed:
		select {
		case t.Followed <- struct{}{}:
		default: // nobody was entrusted to it
		}
		return nil
	case wire.Reject, wire.Failed, wire.Settled, wire.Confirmed, wire.Again, wire.Cut, wire.Stops, wire.Serves,
		wire.Returned, wire.Promote:
	default:
		if f.Type.Known() {
			return fmt.Errorf("%w: an unexpected %v frame", wire.ErrGarbage, f.Type)
		}
		return nil
	}
	select {
	case t.Rest <- f:
	case <-t.Ignored:
	}
	return nil
}

// Mute makes the words that are not for the mover go nowhere.
func (t *Frames) Mute() { t.ignore.Do(func() { close(t.Ignored) }) }

// HungUp reports whether an error of the handover socket means no more than that the peer is gone.
func HungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
