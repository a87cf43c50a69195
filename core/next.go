package core

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// nextProcess is the next generation as the old process sees it.
type nextProcess struct {
	proc        spawn.Process
	path        string
	ctl         net.Conn
	own         *os.Process                   // that said hello, if a wrapper was started; valid once it did
	stderr      *spawn.Capture                // nil: it has this process's
	startFrames chan frameEvent               // what it says until it is ready
	frames      *nextFrames                   // what it says afterwards
	plain       bool                          // it speaks only the plain protocol
	says        int                           // its pid in its own words; valid once it said hello
	ready       atomic.Pointer[wire.ReadyMsg] // what it said of itself with ready; nil until it has
	reads       chan struct{}                 // closed when it says that it reads what comes
	served      bool                          // it was current: what it wrote when it started explains nothing any more
	told        atomic.Bool                   // it got the word that it is given up
	ended       func() bool                   // it has ended by itself, now that its end of the handover socket is closed
	began       time.Time
	linkEnd     int // its end of the link to the supervisor, until it is ready or given up; -1 for none

	writing chan struct{} // full while a frame is written to ctl; room for one

	exited chan struct{} // closed when it has ended and was reaped
	exit   spawn.Exit    // valid once exited
	ran    time.Duration // valid once exited
}

// frameEvent is a frame, or the end of them.
type frameEvent struct {
	wire.Frame
	err error
}

// reason is the text of a Failed frame.
func (ev frameEvent) reason() string {
	var msg wire.ReasonMsg
	if err := ev.Decode(&msg); err != nil || msg.Reason == "" {
		return "it failed and did not say why"
	}
	return strings.TrimPrefix(msg.Reason, "gracex: ") // said once, by the one that reports it
}

// newSuccessor begins to follow a process. spoke is set when it has said hello.
func followNext(path string, p spawn.Process, ctl net.Conn, spoke *atomic.Bool) *nextProcess {
	n := &nextProcess{
		proc: p, path: path, ctl: ctl, began: time.Now(), linkEnd: -1,
		// Hello, Ready or Failed, and the end: the reader never blocks on a
		// protocol that is kept, and stops at the first frame too many.
		startFrames: make(chan frameEvent, 8),
		frames:      newNextFrames(),
		reads:       make(chan struct{}),
		writing:     make(chan struct{}, 1),
		exited:      make(chan struct{}),
	}
	n.ended = sync.OnceValue(func() bool { return n.isGoneWithin(timing.Reap) })
	go n.read(spoke)
	go func() {
		n.exit = p.Wait()
		n.ran = time.Since(n.began)
		close(n.exited)
	}()
	return n
}

// read passes frames on until the one that decides, and then what is said to talk.
func (n *nextProcess) read(spoke *atomic.Bool) {
	ready := n.readStart(spoke)
	close(n.startFrames)
	if ready {
		n.frames.listen(n.ctl)
		return
	}
	n.frames.why = errNotReady
	close(n.frames.silent)
}

// errNotReady: a process that does not get ready has nothing more to say.
var errNotReady = errors.New("it did not get ready")

// readStart reports whether the frame that decides is ready.
func (n *nextProcess) readStart(spoke *atomic.Bool) (ready bool) {
	for range cap(n.startFrames) {
		f, err := wire.Read(n.ctl)
		if err == nil {
			n.note(f)
			if f.Type == wire.Hello {
				spoke.Store(true)
			}
		}
		n.startFrames <- frameEvent{f, err}
		if err != nil || f.Type == wire.Ready || f.Type == wire.Failed {
			return err == nil && f.Type == wire.Ready
		}
	}
	return false
}

// note keeps what a frame says about the process. Whoever gets the frame may look.
func (n *nextProcess) note(f wire.Frame) {
	switch f.Type {
	case wire.Hello:
		var msg wire.HelloMsg
		if f.Decode(&msg) != nil || n.own != nil {
			return
		}
		n.says = msg.PID
		if n.says > 1 && n.says != n.pid() {
			n.own, _ = os.FindProcess(n.says) // while it is sure to be that one
		}
	case wire.Ready:
		var msg wire.ReadyMsg
		if len(f.Payload) == 0 || f.Decode(&msg) != nil {
			msg = wire.ReadyMsg{} // it takes nothing, and has no probation
		}
		n.ready.Store(&msg)
	}
}

// pid is the process number of what was started.
func (n *nextProcess) pid() int { return n.proc.PID() }

// saysReady reports whether it has said ready.
func (n *nextProcess) saysReady() bool { return n.ready.Load() != nil }

// said is what it said of itself with ready; the zero message until it has.
func (n *nextProcess) said() wire.ReadyMsg {
	if msg := n.ready.Load(); msg != nil {
		return *msg
	}
	return wire.ReadyMsg{}
}

// serves is the process number of the program: the one that was started may be a wrapper's.
func (n *nextProcess) serves() int {
	if n.own != nil {
		return n.says
	}
	return n.pid()
}

// lives reports whether the process that said hello is still there: the one that was
// started may be a wrapper around it.
func (n *nextProcess) lives() bool {
	if n.own == nil {
		return !isClosed(n.exited)
	}
	return proc.Running(n.own)
}

// descendants returns the processes that a wrapper script has started, while the script is
// there and no program of its has said hello. They are given up with it: nobody would know
// of a program that serves on.
func (n *nextProcess) descendants() proc.Processes {
	if n.own != nil || program.Interpreter(n.path) == "" {
		return nil
	}
	return proc.Descendants(n.pid())
}

// send sends a signal to the new process. A wrapper around it is killed with it, and gets
// no other signal: many pass on what they get, and a second SIGTERM cuts a drain short.
func (n *nextProcess) send(sig syscall.Signal) {
	if n.own != nil {
		_ = n.own.Signal(sig)
	}
	if n.own == nil || sig == syscall.SIGKILL {
		_ = n.proc.Signal(sig)
	}
}

// kill ends the new process, and what is between, at once.
func (n *nextProcess) kill() { n.send(syscall.SIGKILL) }

// isGoneWithin reports whether the process that said hello ends in time.
func (n *nextProcess) isGoneWithin(d time.Duration) bool {
	if n.own == nil {
		return n.endsWithin(d)
	}
	for end := time.Now().Add(d); n.lives(); time.Sleep(timing.Poll) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

func (n *nextProcess) endsWithin(d time.Duration) bool {
	select {
	case <-n.exited:
		return true
	case <-time.After(d):
		return isClosed(n.exited)
	}
}

// lastWords returns the frame that decides, if the process has sent one: it may
// still be in the socket. wait bounds the time in which nothing comes.
func (n *nextProcess) lastWords(frames <-chan frameEvent, wait time.Duration) (last frameEvent, ok bool) {
	limit := time.After(wait)
	for frames != nil {
		select {
		case ev, more := <-frames:
			if !more || ev.err != nil {
				return frameEvent{}, false
			}
			if ev.Type == wire.Failed || ev.Type == wire.Ready {
				return ev, true
			}
		case <-limit:
			if len(frames) == 0 && !n.unread() {
				return frameEvent{}, false
			}
			limit = time.After(wait) // this process has not come to read it
		}
	}
	return frameEvent{}, false
}

// unread reports whether something is in the socket that nobody has read, or its end, which comes to
// whoever reads.
func (n *nextProcess) unread() bool {
	sc, ok := n.ctl.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	return err == nil && fd.Pending(rc)
}

// vanished reports whether a process that has said ready is no more.
func (n *nextProcess) vanished() bool {
	if n.plain {
		return isClosed(n.exited) // it may have closed what it does not know
	}
	rc, err := n.ctl.(syscall.Conn).SyscallConn()
	return isClosed(n.exited) || err != nil || fd.Ended(rc) || !n.lives()
}

// say writes a frame to the new process, which may be stopped or gone. The limit is
// for one that reads nothing, until the socket is full.
func (n *nextProcess) say(t wire.Type, msg any, limit time.Duration) error {
	b, err := wire.Append(nil, t, msg)
	if err != nil {
		return err
	}
	select {
	case n.writing <- struct{}{}:
	case <-time.After(limit):
		return os.ErrDeadlineExceeded
	}
	defer func() { <-n.writing }()
	_ = n.ctl.SetWriteDeadline(time.Now().Add(limit))
	_, err = n.ctl.Write(b)
	return err
}

// disown leaves word for whoever a plain program passes the handover socket on to.
func (n *nextProcess) disown() { _ = n.say(wire.Disown, nil, timing.Word) }

// introduce closes this process's duplicate of next's link, by whose end the supervisor
// knows the end of next. current is its state. A program that speaks only the plain protocol is introduced: it
// does not know of the link.
func (n *nextProcess) introduce(generation int, current uint8) {
	if n.plain && n.linkEnd >= 0 {
		msg := wire.StandMsg{PID: n.pid(), Generation: generation, State: current, Plain: true}
		if b, err := wire.Append(nil, wire.Stand, msg); err == nil {
			_ = fd.Write(n.linkEnd, b)
		}
	}
	closeLinkEnd(n.linkEnd)
	n.linkEnd = -1
}

func closeLinkEnd(s int) {
	if s >= 0 {
		_ = fd.Close(s)
	}
}

// drained tells the new process that this one's drain has ended.
func (n *nextProcess) drained() {
	if !n.plain {
		_ = n.say(wire.Drained, nil, timing.Say) // it may be gone
	}
}

// release closes this process's end of the handover socket: to the new one, this one
// is gone.
func (n *nextProcess) release() {
	_ = n.ctl.Close()
	n.stderr.End()
	if n.own != nil {
		_ = n.own.Release()
	}
}
