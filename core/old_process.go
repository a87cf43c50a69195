package core

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/foreign"
	"github.com/gracex-go/gracex/core/internal/handover"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// parent is the old process as the new one sees it.
type oldProcess struct {
	ctl net.Conn // nil: it speaks only the plain protocol

	committed chan struct{} // closed when it handed over
	confirmed chan struct{} // closed when it can't take the service back any more
	aborted   chan struct{} // closed when it gave this process up
	disowned  chan struct{} // closed when ctl turned out to be another process's
	drained   chan struct{} // closed when its drain has ended
	keptAlive chan struct{} // closed when it may have to serve again, so that it is not ended
	gone      chan struct{} // closed when it is no more, or hung up

	drains chan time.Duration // that its drain begins now, and how long that is; room for the one

	oldPID  int            // who holds the other end of ctl
	commit  wire.CommitMsg // valid once committed
	confirm wire.CommitMsg // valid once confirmed
	reason  string         // valid once aborted

	older atomic.Int32 // how many generations before this one there are, by its word

	reports inquiry // what it says about itself

	ways foreign.Parent // how it wants to hear that this process serves, if it is plain

	adopted uint64 // connections taken over from it; of the goroutine that listens
}

func newOldProcess(ctl net.Conn) *oldProcess {
	return &oldProcess{
		ctl:       ctl,
		ways:      foreign.Parent{Obeys: true},
		committed: make(chan struct{}),
		confirmed: make(chan struct{}),
		aborted:   make(chan struct{}),
		disowned:  make(chan struct{}),
		drained:   make(chan struct{}),
		keptAlive: make(chan struct{}),
		gone:      make(chan struct{}),
		drains:    make(chan time.Duration, 1),
	}
}

// plain reports whether the old process speaks only the plain protocol.
func (p *oldProcess) plain() bool { return p.ctl == nil || isClosed(p.disowned) }

// pid is the old process's: who started this one, unless that was a wrapper
// between the two.
func (p *oldProcess) pid() int {
	if p.plain() {
		return proc.StartedBy
	}
	return p.oldPID
}

// welcome reads the old process's first frame.
func (p *oldProcess) welcome() (wire.WelcomeMsg, error) {
	var msg wire.WelcomeMsg
	_ = p.ctl.SetReadDeadline(time.Now().Add(timing.Word))
	f, err := wire.Read(p.ctl)
	if err != nil {
		return msg, fmt.Errorf("no word from the old process: %w", err)
	}
	_ = p.ctl.SetReadDeadline(time.Time{})
	if f.Type != wire.Welcome {
		return msg, fmt.Errorf("%w: %v instead of welcome", wire.ErrGarbage, f.Type)
	}
	err = f.Decode(&msg)
	p.oldPID = msg.PID
	return msg, err
}

// oldHandler is what the words of the old process lead to. One goroutine calls it, in their order.
type oldHandler struct {
	offer     func(f wire.Frame, files []int) error // the files become its own
	moved     func(wire.Frame)
	committed func()
	confirmed func()
	aborted   func(handover.NewEvent) // Abort, AbortStop or AbortDead
	again     func()                  // one more upgrade is asked for
	older     func()                  // the number of older generations may have changed
	ended     func()                  // it has ended, or hung up and lives for some reason
}

// follow listens to what the old process says until it is gone, or stop is closed.
func (p *oldProcess) follow(h oldHandler, stop <-chan struct{}, log *slog.Logger) {
	defer h.older()
	in, files := p.receiver()
	for p.ctl != nil {
		f, err := wire.Read(in)
		came := files()
		if err == nil && f.Type == wire.Offer {
			err, came = h.offer(f, came), nil
		}
		for _, s := range came {
			_ = fd.Close(s) // nobody asked for it
		}
		if err == nil {
			err = p.hear(f, h)
		}
		if err != nil {
			if isClosed(p.disowned) {
				break
			}
			if !hungUp(err) {
				log.Error("the old process is not understood any more", "old_pid", p.pid(), "error", err)
			}
			_ = p.ctl.Close() // it must not wait for an answer
			p.lose(h, stop)
			return
		}
	}
	defer close(p.gone)
	p.waitGone(stop)
}

// lose notes that the old process has ended. One that has hung up and lives is about to end this
// one, and has some time for that. h.ended is called before anybody who waits for gone goes on.
func (p *oldProcess) lose(h oldHandler, stop <-chan struct{}) {
	if p.endsWithin(timing.Reap, stop) {
		h.ended()
		close(p.gone)
		return
	}
	close(p.gone)
	p.endsWithin(timing.Word, stop)
	h.ended()
}

// hear is a word of the old process. One of a type that this version does not know is
// nothing.
func (p *oldProcess) hear(f wire.Frame, h oldHandler) error {
	switch f.Type {
	case wire.Commit:
		if err := once(p.committed, f, &p.commit); err != nil {
			return err
		}
		h.committed()
	case wire.Confirm:
		if err := once(p.confirmed, f, &p.confirm); err != nil {
			return err
		}
		h.confirmed()
	case wire.Abort:
		return p.hearAbort(f, h)
	case wire.Again:
		h.again()
	case wire.Disown:
		if !isClosed(p.disowned) {
			close(p.disowned)
		}
	case wire.Ping:
		return p.say(wire.Pong, nil)
	case wire.Older:
		var msg wire.OlderMsg
		if err := f.Decode(&msg); err != nil {
			return err
		}
		p.older.Store(int32(min(max(msg.Older, 0), math.MaxInt32)))
		h.older()
	case wire.Report:
		return p.reports.take(f)
	case wire.Moved:
		h.moved(f)
	case wire.Drained:
		if !isClosed(p.drained) {
			close(p.drained)
		}
	}
	return nil
}

// hearAbort: the old process serves, or the service stops.
func (p *oldProcess) hearAbort(f wire.Frame, h oldHandler) error {
	var msg wire.AbortMsg
	if err := f.Decode(&msg); err != nil {
		return err
	}
	e := handover.Abort
	switch {
	case msg.Stop:
		e = handover.AbortStop
	case p.ended():
		h.aborted(handover.AbortDead) // it was killed right after its word
		return nil
	}
	if !isClosed(p.aborted) {
		p.reason = msg.Reason
		close(p.aborted)
	}
	h.aborted(e)
	return nil
}

// ended reports whether the old process is known to have closed its end of the handover socket.
func (p *oldProcess) ended() bool {
	sc, ok := p.ctl.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	return err == nil && fd.Ended(rc)
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

// receiver reads from the handover socket, and returns the descriptors that came.
func (p *oldProcess) receiver() (in io.Reader, files func() []int) {
	if c, ok := p.ctl.(*net.UnixConn); ok {
		r := fd.NewReceiver(c)
		return r, r.Take
	}
	return p.ctl, func() []int { return nil }
}

func (p *oldProcess) waitGone(stop <-chan struct{}) {
	t := time.NewTicker(timing.Poll)
	defer t.Stop()
	for p.alive() {
		select {
		case <-t.C:
		case <-stop:
			return
		}
	}
}

// staysGivenUp waits until all that the old process has said is read, and reports whether nothing of
// it is that it serves again.
func (p *oldProcess) staysGivenUp(stop <-chan struct{}) bool {
	sc, ok := p.ctl.(syscall.Conn)
	if !ok {
		return true // a plain program says nothing
	}
	for {
		rc, err := sc.SyscallConn()
		switch {
		case isClosed(p.aborted) || isClosed(p.keptAlive) || isClosed(stop):
			return false
		case err != nil || !fd.Pending(rc) || isClosed(p.gone):
			return true
		}
		time.Sleep(timing.EndPoll)
	}
}

// spare keeps this process from ending it. It is the lifecycle's.
func (p *oldProcess) keepAlive() {
	if !isClosed(p.keptAlive) {
		close(p.keptAlive)
	}
}

// alive reports whether the old process is still there. One with a handover socket
// holds its end of it; any other is the parent, and a process whose parent ends
// gets another one. Pid 1 does not count: it must live.
func (p *oldProcess) alive() bool {
	if p.plain() {
		return proc.StartedBy > 1 && os.Getppid() == proc.StartedBy
	}
	return p.oldPID > 1 && !isClosed(p.gone)
}

// hungUp reports whether an old process that can't be heard any more lives: it serves, and
// is about to end this one.
func (p *oldProcess) hungUp() bool {
	return p.ctl != nil && isClosed(p.gone) && p.alivePID()
}

func (p *oldProcess) alivePID() bool { return p.oldPID > 1 && proc.Alive(p.oldPID) }

// endsWithin waits for the end of an old process that can't be heard any more.
func (p *oldProcess) endsWithin(d time.Duration, stop <-chan struct{}) bool {
	limit := time.After(d)
	for p.alivePID() {
		select {
		case <-time.After(timing.EndPoll):
		case <-limit:
			return false
		case <-stop:
			return false
		}
	}
	return true
}

// say writes a frame to the old process, which may be stopped or gone.
func (p *oldProcess) say(t wire.Type, msg any) error {
	if p.ctl == nil {
		return nil
	}
	_ = p.ctl.SetWriteDeadline(time.Now().Add(timing.Word))
	return wire.Write(p.ctl, t, msg)
}

// signal sends sig to the old process if it still is the one that it was.
func (p *oldProcess) signal(sig syscall.Signal) error {
	// The handle first, then the check: a handle opened while the parent is
	// alive can't name a later process (pidfd, Linux). Elsewhere the two calls
	// are as close together as they can be.
	old, err := os.FindProcess(p.pid())
	if err != nil {
		return err
	}
	defer func() { _ = old.Release() }()
	if !p.alive() {
		return os.ErrProcessDone
	}
	return old.Signal(sig)
}

// seeOff sees to it that the old process goes: it has its own deadline. One that is stuck past it is
// killed: SIGTERM would be the operator's word, and stop the service if that process takes it back
// in the same moment. Once it has said that its drain is over SIGTERM means nothing but that
// its main should hurry.
func (p *oldProcess) seeOff(limit time.Duration, done <-chan struct{}, log *slog.Logger) {
	for _, last := range []bool{false, true} { // the second word is SIGKILL
		after := timing.Kill
		if !last {
			after = timing.Add(limit, timing.Kill)
		}
		if p.goesWithin(after, done, log) {
			return
		}
		sig := syscall.SIGKILL
		if !last {
			if !isClosed(p.drained) && !p.plain() {
				continue
			}
			sig = syscall.SIGTERM
		}
		if !p.staysGivenUp(done) {
			return
		}
		err := p.signal(sig)
		if errors.Is(err, os.ErrProcessDone) {
			return
		}
		log.Warn("the old process did not go by its deadline; signal sent",
			"old_pid", p.pid(), "signal", sig.String(), "error", err)
	}
	select {
	case <-p.gone:
		log.Debug("the old process is gone", "old_pid", p.pid())
	case <-done:
	}
}

// goesWithin reports whether the old process needs no signal: it goes by itself, or may serve again. The
// time of one that begins to drain counts from there.
func (p *oldProcess) goesWithin(d time.Duration, done <-chan struct{}, log *slog.Logger) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-p.gone:
			log.Debug("the old process is gone", "old_pid", p.pid())
			return true
		case <-done:
			return true
		case <-p.aborted: // it serves again
			return true
		case <-p.keptAlive:
			return true
		case drain := <-p.drains:
			t.Reset(timing.Add(drain, timing.Kill))
		case <-t.C:
			return false
		}
	}
}
