package peer

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Old is the old process as the new one sees it.
type Old struct {
	ctl     net.Conn   // nil: it speaks only the plain protocol
	writing sync.Mutex // held while a frame is written to it

	Committed chan struct{} // closed when it handed over
	Confirmed chan struct{} // closed when it can't take the service back any more
	Aborted   chan struct{} // closed when it gave this process up, or was left the service by LeaveTo. Not of one that was killed before, unless the service stops
	Disowned  chan struct{} // closed when ctl turned out to be another process's
	Drained   chan struct{} // closed when its drain has ended
	Returned  chan struct{} // closed when its background work has returned, and that of the processes before it
	Follows   chan struct{} // closed when it knows that this process listens to it, if it was entrusted to it
	Left      chan struct{} // closed when the next process listens to it instead of this one
	keptAlive chan struct{} // closed when it may have to serve again, so that it is not ended
	Gone      chan struct{} // closed when it is no more, or hung up
	Ended     chan struct{} // closed when it is no more, or lives on as the supervisor

	Drains chan time.Duration // that its drain begins now, and how long that is; room for the one

	Generation int       // its number; 0 also if it speaks only the plain protocol
	Ends       time.Time // when it has cut what is left of its drain; the lifecycle's, and zero before that begins

	follow turnstile     // between two frames of what it says
	hand   hand          // of the goroutine that listens
	rested chan struct{} // closed when this process does not listen to it any more
	owed   int           // how often it is yet to say Followed, if it was entrusted; of the goroutine that listens

	Only       bool       // only the process that has made ctl may speak
	maker      fd.Speaker // that has made the handover socket; not known for a plain one
	oldPID     int        // of the process that holds the other end of ctl
	Supervisor int        // the process number of this process's supervisor; 0 without one
	Version    string     // the program's, in its own words; empty if it says nothing of it
	Counts     bool       // it wants to hear what this process counts
	Check      bool       // this process is ended when it is ready
	Attempt    string     // names the upgrade that has started this process
	Context    string     // what the old program has said of that

	Commit  wire.CommitMsg // valid once committed
	Confirm wire.CommitMsg // valid once confirmed
	Reason  string         // valid once aborted
	fate    sync.Mutex     // held while Aborted or keptAlive is closed, and while it is killed
	killed  bool           // this process has sent it a SIGKILL

	older atomic.Pointer[[]int] // the generations before this one that there are, by its word; newest first

	reports inquiry // what it says about itself

	heardAt atomic.Int64 // when it has said something last, since began

	Ways foreign.Parent // how it wants to hear that this process serves, if it is plain

	lookUp   sync.Once
	process  *os.Process // if it is plain, and the system shows that it is an old version of this program
	notShown error       // why it does not

	// Of the goroutine that listens:
	Adopted uint64 // connections taken over from it
	Served  uint64 // requests that this process had answered when it took over the last of them
}

// NewOld makes the old process at the other end of ctl; nil is one that speaks only the plain protocol.
func NewOld(ctl net.Conn) *Old {
	return &Old{
		ctl:       ctl,
		maker:     makerOf(ctl),
		Ways:      foreign.Parent{Obeys: true},
		Committed: make(chan struct{}),
		Confirmed: make(chan struct{}),
		Aborted:   make(chan struct{}),
		Disowned:  make(chan struct{}),
		Drained:   make(chan struct{}),
		Returned:  make(chan struct{}),
		Follows:   make(chan struct{}),
		Left:      make(chan struct{}),
		rested:    make(chan struct{}),
		keptAlive: make(chan struct{}),
		Gone:      make(chan struct{}),
		Ended:     make(chan struct{}),
		Drains:    make(chan time.Duration, 1),
	}
}

// began is what heardAt counts from.
var began = time.Now()

// Silence is how long it has said nothing.
func (p *Old) Silence() time.Duration { return time.Since(began) - time.Duration(p.heardAt.Load()) }

// Speaks reports whether it speaks more than the plain protocol, as far as is known.
func (p *Old) Speaks() bool { return p.ctl != nil }

// HangUp closes the handover socket: this process neither hears nor says anything more.
func (p *Old) HangUp() {
	if p.ctl != nil {
		_ = p.ctl.Close()
	}
}

// OlderGenerations are the numbers of the generations before this one that drain, by its word, newest first. There are
// none when it is gone, or was left to the next process. One whose drain has ended drains no more, whatever its main
// does, and says nothing more of those before it: they have ended, or were left to this process.
func (p *Old) OlderGenerations() []int {
	older := p.older.Load()
	if p.ctl == nil || older == nil || isClosed(p.Gone) || isClosed(p.Left) || isClosed(p.Drained) {
		return nil
	}
	return *older
}

// Plain reports whether the old process speaks only the plain protocol.
func (p *Old) Plain() bool { return p.ctl == nil || isClosed(p.Disowned) }

// PID is the process number of the old process. That is the parent, unless a wrapper is
// between the two.
func (p *Old) PID() int {
	if !p.Plain() {
		return p.oldPID
	}
	if old, _ := p.plain(); old != nil {
		return old.Pid
	}
	return proc.StartedBy
}

// plain returns the handle of an old process that speaks only the plain protocol, which is known by nothing but that it
// has started this one. It is looked up once.
func (p *Old) plain() (*os.Process, error) {
	p.lookUp.Do(func() {
		if p.process = p.Ways.Process; p.process == nil {
			p.process, p.notShown = proc.OldVersion()
		}
	})
	return p.process, p.notShown
}

// Welcome reads the old process's first frame.
func (p *Old) Welcome() (wire.WelcomeMsg, error) {
	msg, err := readWelcome(p.ctl)
	p.oldPID, p.Generation, p.Version = msg.PID, msg.Generation-1, msg.Version
	p.Counts, p.Check, p.Attempt, p.Context = msg.Counts, msg.Check, msg.Attempt, msg.Context
	return msg, err
}

// readWelcome reads the first frame of the process that has started this one, which has written it already.
func readWelcome(c net.Conn) (msg wire.WelcomeMsg, err error) {
	_ = c.SetReadDeadline(time.Now().Add(timing.Word))
	f, err := wire.Read(c)
	_ = c.SetReadDeadline(time.Time{})
	switch {
	case err != nil:
		return msg, fmt.Errorf("no welcome: %w", err)
	case f.Type != wire.Welcome:
		return msg, fmt.Errorf("%w: %v instead of welcome", wire.ErrGarbage, f.Type)
	}
	err = f.Decode(&msg)
	return msg, err
}

// OldHandler is what the words of the old process lead to. One goroutine calls it, in their order.
type OldHandler struct {
	Offer     func(f wire.Frame, files []int) error // the files become its own
	Entrusted func(f wire.Frame, files []int)       // an older process is left to this one; the files become its own
	Moved     func(wire.Frame)
	Tickets   func(keys []byte) // they are a secret; nil: nobody wants them
	Committed func()
	Confirmed func()
	Aborted   func(handover.NewEvent) // Abort, AbortStop or AbortDead
	Again     func()                  // one more upgrade is asked for
	Older     func()                  // the number of older generations may have changed
	Returned  func()                  // its background work has returned, or has ended with it
	Followed  func(wire.FollowedMsg)  // it knows that this process listens to it
	Account   func(wire.AccountMsg)   // what it has counted; it is answered after that
	Noted     func()                  // that it knows what this process has counted
	Rests     func()                  // the listening ends between two frames
	Ended     func()                  // it has ended, or hung up and lives for some reason
}

// Follow listens to what the old process says until it is gone, or stop is closed.
func (p *Old) Follow(h OldHandler, stop <-chan struct{}, log *slog.Logger) {
	defer close(p.rested)
	defer h.Older()
	in := newEar(p.ctl).notes(&p.hand)
	defer p.hand.Store(handEmpty)
	for p.ctl != nil {
		p.hand.Store(handEmpty) // the frame before was heard
		if !p.follow.enter(p.ctl) {
			h.Rests()
			return
		}
		said, err := in.read()
		f, came := said.Frame, said.files
		p.heardAt.Store(int64(time.Since(began)))
		if err == nil && p.Only {
			err = said.isBy(p.maker.PID)
		}
		switch {
		case err != nil:
		case f.Type == wire.Offer:
			err, came = h.Offer(f, came), nil
		case f.Type == wire.Entrust:
			h.Entrusted(f, came)
			came = nil
		}
		p.follow.leave()
		fd.CloseAll(came) // nobody asked for them
		if err != nil {
			clear(f.Payload) // of one that is not believed, too
		}
		if err == nil {
			err = p.Hear(f, h)
		}
		if err != nil {
			if isClosed(p.Disowned) {
				break
			}
			if !HungUp(err) {
				log.Error("the old process is not understood any more", "old_pid", p.PID(), "error", err)
			}
			_ = p.ctl.Close() // it must not wait for an answer
			p.lose(h, stop)
			return
		}
	}
	await(func() bool { return !p.Alive() }, stop)
	close(p.Gone)
	close(p.Ended)
}

// lose notes that the old process has ended. One that has hung up and lives is about to end this
// one, and has some time for that. h.Ended is called before those that wait for Gone go on.
func (p *Old) lose(h OldHandler, stop <-chan struct{}) {
	if p.endsWithin(timing.Reap, stop) {
		h.Ended()
		close(p.Gone)
		close(p.Ended)
		return
	}
	close(p.Gone)
	p.endsWithin(timing.Word, stop)
	h.Ended()
	go func() {
		if await(func() bool { return !p.AlivePID() || p.Supervises() }, stop) {
			close(p.Ended)
			h.Returned()
		}
	}()
}

// Hear is a word of the old process. One of a type that this version does not know is nothing.
func (p *Old) Hear(f wire.Frame, h OldHandler) error {
	switch f.Type {
	case wire.Commit:
		if err := once(p.Committed, f, &p.Commit); err != nil {
			return err
		}
		h.Committed()
	case wire.Confirm:
		if err := once(p.Confirmed, f, &p.Confirm); err != nil {
			return err
		}
		h.Confirmed()
	case wire.Tickets:
		if h.Tickets != nil {
			h.Tickets(f.Payload)
		}
		clear(f.Payload)
	case wire.Abort:
		return p.hearAbort(f, h)
	case wire.Again:
		h.Again()
	case wire.Disown:
		if !isClosed(p.Disowned) {
			close(p.Disowned)
		}
	case wire.Ping:
		if err := p.Say(wire.Pong, nil); !HungUp(err) {
			return err
		} // else it is gone, with more words behind this one
	case wire.Older:
		var msg wire.OlderMsg
		if err := f.Decode(&msg); err != nil {
			return err
		}
		older := msg.Numbers(p.Generation)
		p.older.Store(&older)
		h.Older()
	case wire.Report:
		return p.reports.take(f)
	case wire.Account:
		var msg wire.AccountMsg
		if err := f.Decode(&msg); err != nil {
			return err
		}
		h.Account(msg)
		_ = p.Say(wire.Noted, nil) // as above
	case wire.Noted:
		h.Noted()
	case wire.Moved:
		h.Moved(f)
	case wire.Returned:
		if !isClosed(p.Returned) {
			close(p.Returned)
		}
		h.Returned()
	case wire.Followed:
		if p.owed--; p.owed == 0 { // the ones before were for processes that have listened to it for a moment
			var msg wire.FollowedMsg
			if len(f.Payload) > 0 {
				if err := f.Decode(&msg); err != nil {
					return err
				}
			}
			close(p.Follows)
			h.Followed(msg)
		}
	case wire.Drained:
		if !isClosed(p.Drained) {
			close(p.Drained)
			h.Older()
		}
	}
	return nil
}

// hearAbort hears that the old process serves, or the service stops.
func (p *Old) hearAbort(f wire.Frame, h OldHandler) error {
	var msg wire.AbortMsg
	if err := f.Decode(&msg); err != nil {
		return err
	}
	e := handover.Abort
	switch {
	case msg.Stop:
		e = handover.AbortStop
	case p.ended():
		h.Aborted(handover.AbortDead) // it was killed right after its word
		return nil
	}
	if !p.aborts(msg) {
		e = handover.AbortDead
	}
	h.Aborted(e)
	return nil
}

// aborts notes that the old process has given this one up, and reports whether that holds. One that this process has
// killed in the same moment does not serve again, whatever it has said. That the service stops holds all the same.
func (p *Old) aborts(msg wire.AbortMsg) bool {
	p.fate.Lock()
	defer p.fate.Unlock()
	if p.killed && !msg.Stop {
		return false
	}
	if !isClosed(p.Aborted) {
		p.Reason = text.Reason(msg.Reason)
		close(p.Aborted)
	}
	return true
}

// LeaveTo hangs up on an old process that is to serve again, for the reason, and can't be told so: it serves when it
// finds the end of the handover socket.
func (p *Old) LeaveTo(reason string) {
	p.HangUp()
	p.aborts(wire.AbortMsg{ReasonMsg: wire.ReasonMsg{Reason: reason}})
}

// ended reports whether the old process is known to have closed its end of the handover socket, whatever of its words
// is left to read.
func (p *Old) ended() bool {
	sc, ok := p.ctl.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	return err == nil && fd.PeerClosed(rc)
}

// once keeps a message that counts the first time, and says that it is there.
func once(there chan struct{}, f wire.Frame, msg *wire.CommitMsg) error {
	if isClosed(there) {
		return nil
	}
	if err := f.Decode(msg); err != nil {
		return err
	}
	close(there)
	return nil
}

// Say writes a frame to the old process, which may be stopped or gone. A frame of which only a part was written is the
// last: this process has hung up then.
func (p *Old) Say(t wire.Type, msg any) error {
	if p.ctl == nil {
		return nil
	}
	b, err := wire.Append(nil, t, msg)
	if err != nil {
		return err
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	_ = p.ctl.SetWriteDeadline(time.Now().Add(timing.Word))
	return fd.Write(p.ctl, b)
}
