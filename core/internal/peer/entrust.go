package peer

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// NewOlder makes the process that the old one has left to this one. Its end of the handover socket is ctl.
func NewOlder(ctl net.Conn, msg wire.EntrustMsg) *Old {
	p := NewOld(ctl)
	p.oldPID, p.Generation, p.Ends = msg.PID, msg.Generation, time.Now().Add(msg.Drain())
	p.Adopted, p.owed = msg.Adopted, msg.Owed
	older := append([]int{msg.Generation}, msg.Older...)
	p.older.Store(&older)
	if msg.Drained {
		close(p.Drained)
	}
	if msg.Returned {
		close(p.Returned)
	}
	return p
}

// SayFollows tells an entrusted process that this one listens to it from now on, and what it takes. Follow comes after that.
func (p *Old) SayFollows(takes []string) error {
	p.owed++
	return p.Say(wire.Follows, wire.HelloMsg{PID: os.Getpid(), Takes: takes})
}

// turnstile is passed by the goroutine that reads frames. Another one closes it between two of them.
type turnstile struct {
	mu     sync.Mutex // held while a frame is read
	closed bool
}

// enter waits until there is something to read, and reports whether it is to be read. Then leave follows.
func (t *turnstile) enter(c net.Conn) bool {
	if sc, ok := c.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_, _ = fd.Await(rc) // an error is the reader's, too
		}
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return false
	}
	return true
}

func (t *turnstile) leave() { t.mu.Unlock() }

// shut closes it. A reader that waits for c comes back at once.
func (t *turnstile) shut(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	_ = c.SetReadDeadline(time.Unix(1, 0))
}

// Rest ends the listening to the old process between two of its frames. What it says from then on stays in the
// socket. The channel is closed when nobody listens any more.
func (p *Old) Rest() <-chan struct{} {
	go p.follow.shut(p.ctl)
	return p.rested
}

// Rests reports whether nobody listens to it any more.
func (p *Old) Rests() bool { return isClosed(p.rested) }

// Entrust leaves the process p, which rests, to the new one.
func (n *Next) Entrust(p *Old) error {
	theirs, ok := p.ctl.(*net.UnixConn)
	ours, mine := n.ctl.(*net.UnixConn)
	if !ok || !mine {
		return fd.ErrUnsupported
	}
	msg := wire.EntrustMsg{
		PID: p.oldPID, Generation: p.Generation, DrainMillis: max(time.Until(p.Ends), 0).Milliseconds(),
		Drained: isClosed(p.Drained), Returned: isClosed(p.Returned), Adopted: p.Adopted, Owed: p.owed,
	}
	if older := p.older.Load(); older != nil && len(*older) > 0 {
		msg.Older = (*older)[1:]
	}
	b, err := wire.Append(nil, wire.Entrust, msg)
	if err != nil {
		return err
	}
	rc, err := theirs.SyscallConn()
	if err != nil {
		return err
	}
	select {
	case n.writing <- struct{}{}:
	case <-time.After(timing.Say):
		return os.ErrDeadlineExceeded
	}
	defer func() { <-n.writing }()
	_ = ours.SetWriteDeadline(time.Now().Add(timing.Say))
	if cerr := rc.Control(func(s uintptr) { err = fd.Send(ours, b, []int{int(s)}) }); cerr != nil {
		err = cerr
	}
	if err == nil {
		close(p.Left)
	}
	return err
}

// followed notes that another process listens at the other end of the handover socket from now on, and answers.
func (n *Next) followed(f heard) {
	var msg wire.HelloMsg
	_ = f.Decode(&msg) // whoever it is, it listens
	n.takes.Store(&msg.Takes)
	n.partner.Lock()
	follows := &introduced{pid: msg.PID}
	if n.introduce(follows, f) && proc.Running(follows.own) {
		n.hello.Store(follows)
	} else {
		n.unseen = true
	}
	awaits := !n.gaveUp // for as long as it lives
	n.partner.Unlock()
	go func() { // an offer may be on its way, which is read first
		err := os.ErrDeadlineExceeded
		for errors.Is(err, os.ErrDeadlineExceeded) && !isClosed(n.Frames.Silent) {
			err = n.Say(wire.Followed, wire.FollowedMsg{Awaits: awaits}, timing.Word)
		}
	}()
}

// takesBack reports whether what was offered is taken back, because the process that it was offered to is gone. Another
// one that follows hears so. The end of one that can't be seen is the end of the handover socket.
func (n *Next) takesBack() bool {
	n.partner.Lock()
	defer n.partner.Unlock()
	n.gaveUp = n.gaveUp || !n.unseen && !n.Lives()
	return n.gaveUp
}

// AwaitFollowed returns when the new process has said that count processes, which were entrusted to it, know of it.
// Until then what they have offered to this one may not have an answer.
func (n *Next) AwaitFollowed(count int) {
	limit := time.After(timing.Say) // one that stands still keeps its connections
	for range count {
		select {
		case <-n.Frames.Followed:
		case <-n.Frames.Silent:
			return
		case <-limit:
			return
		}
	}
}
