package core

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

// talk is what a new process says after ready. One goroutine reads it, for whoever
// waits for it.
type nextFrames struct {
	rest    chan wire.Frame // for the lifecycle
	answers chan wire.Frame // answers to offers, for the mover; room for the one
	silent  chan struct{}   // closed when nothing more will be heard
	why     error           // valid once silent

	ignored chan struct{} // closed when nobody takes words any more
	ignore  sync.Once
	asked   atomic.Bool   // an offer waits for its answer
	pongs   atomic.Uint32 // answers to Ping

	answer atomic.Pointer[func(wire.Frame)] // answers Ask; nil: it is not answered
}

func newNextFrames() *nextFrames {
	return &nextFrames{
		rest: make(chan wire.Frame), answers: make(chan wire.Frame, 1),
		silent: make(chan struct{}), ignored: make(chan struct{}),
	}
}

// listen hears the new process out.
func (t *nextFrames) listen(ctl io.Reader) {
	defer close(t.silent)
	for t.why == nil {
		f, err := wire.Read(ctl)
		if err != nil {
			t.why = err
			return
		}
		t.why = t.heard(f)
	}
}

// heard passes a frame on. One of a type that this version does not know is nothing.
func (t *nextFrames) heard(f wire.Frame) error {
	switch f.Type {
	case wire.Taken:
		if !t.asked.Swap(false) {
			return fmt.Errorf("%w: a taken frame that answers nothing", wire.ErrGarbage)
		}
		t.answers <- f
		return nil
	case wire.Pong:
		t.pongs.Add(1)
	case wire.Ask:
		if answer := t.answer.Load(); answer != nil {
			go (*answer)(f)
		}
		return nil
	case wire.Reject, wire.Failed, wire.Settled, wire.Confirmed, wire.Again, wire.Cut, wire.Serves:
	default:
		if f.Type.Known() {
			return fmt.Errorf("%w: an unexpected %v frame", wire.ErrGarbage, f.Type)
		}
		return nil
	}
	select {
	case t.rest <- f:
	case <-t.ignored:
	}
	return nil
}

// mute has the words that are not for the mover go nowhere.
func (t *nextFrames) mute() { t.ignore.Do(func() { close(t.ignored) }) }

// hungUp reports whether an error of the handover socket means no more than that the
// peer is gone.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
