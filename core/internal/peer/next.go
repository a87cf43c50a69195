package peer

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
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Next is the next generation as the old process sees it.
type Next struct {
	proc    spawn.Process
	Path    string
	Dir     string // its working directory at the start
	ctl     net.Conn
	hello   atomic.Pointer[introduced]    // the process that has said hello; nil until one has
	Stderr  *spawn.Capture                // nil: it has this process's
	Start   chan Event                    // what it says until it is ready
	Frames  *Frames                       // what it says afterwards
	Plain   bool                          // it speaks only the plain protocol
	ready   atomic.Pointer[wire.ReadyMsg] // what it said of itself with ready; nil until it has
	Reads   chan struct{}                 // closed when it says that it reads what comes
	Served  bool                          // it was current
	Passed  bool                          // it has passed its probation, and has its real stderr again
	Hangs   bool                          // it was not ready in time: it is to say where it waits
	Told    atomic.Bool                   // it got the word that it is given up
	Ended   func() bool                   // it has ended by itself, now that its end of the handover socket is closed
	began   time.Time
	LinkEnd int // its end of the link to the supervisor, until it is ready or given up; -1 for none

	signaled atomic.Bool // this process has sent it a signal to end
	hand     hand        // of the goroutine that reads what it says

	takes atomic.Pointer[[]string] // as the process that listens now says; nil: nothing

	partner sync.Mutex // held while it changes, or is seen to be gone
	gaveUp  bool       // it was gone, and an offer to it was taken back
	unseen  bool       // the system does not show the process that follows

	writing chan struct{} // full while a frame is written to ctl; room for one
	sending sync.Mutex
	offers  bool // the frame that is written is an offer

	Exited chan struct{} // closed when it has ended and was reaped
	Exit   spawn.Exit    // valid once exited
	Ran    time.Duration // valid once exited
}

// introduced is a process that has said hello.
type introduced struct {
	pid int         // in its own words
	own *os.Process // nil if it is the one that was started, and no wrapper is around it
}

// Event is a frame, or the end of them.
type Event struct {
	wire.Frame
	Err error
}

// Reason is the text of a Failed frame.
func (ev Event) Reason() string {
	var msg wire.ReasonMsg
	if err := ev.Decode(&msg); err != nil || msg.Reason == "" {
		return "it failed and did not say why"
	}
	return strings.TrimPrefix(text.Reason(msg.Reason), "gracex: ") // said once, by the one that reports it
}

// Follow begins to follow a process. hello is called when it has said hello, before anybody gets that frame: itself is
// false if another process than the one that was started has said it.
func Follow(path string, p spawn.Process, ctl net.Conn, hello func(itself bool)) *Next {
	n := &Next{
		proc: p, Path: path, ctl: ctl, began: time.Now(), LinkEnd: -1,
		// Hello, Ready or Failed, and the end: the reader never blocks on a
		// protocol that is kept, and stops at the first frame too many.
		Start:   make(chan Event, 8),
		Frames:  newFrames(),
		Reads:   make(chan struct{}),
		writing: make(chan struct{}, 1),
		Exited:  make(chan struct{}),
	}
	n.Frames.follow = n.followed
	n.Ended = sync.OnceValue(func() bool { return n.isGoneWithin(timing.Reap) })
	go n.read(hello)
	go func() {
		n.Exit = p.Wait()
		n.Ran = time.Since(n.began)
		close(n.Exited)
	}()
	return n
}

// read passes frames on until the one that decides, and then all others to Frames.
func (n *Next) read(hello func(itself bool)) {
	in := newEar(n.ctl).notes(&n.hand)
	defer n.hand.Store(handEmpty) // the end was passed on
	ready := n.readStart(in, hello)
	close(n.Start)
	if ready {
		n.Frames.listen(in)
		return
	}
	n.Frames.Why = errNotReady
	close(n.Frames.Silent)
}

// errNotReady is why a process that does not get ready says nothing more.
var errNotReady = errors.New("it did not get ready")

// readStart reports whether the frame that decides is ready.
func (n *Next) readStart(in ear, hello func(itself bool)) (ready bool) {
	for range cap(n.Start) {
		f, err := in.readAlone()
		if err == nil {
			n.note(f)
			if f.Type == wire.Hello {
				hello(n.Says() == n.PID())
				if p, ok := n.proc.(spawn.Ringer); ok {
					p.Answered()
				}
			}
		}
		n.Start <- Event{f.Frame, err}
		if err != nil || f.Type == wire.Ready || f.Type == wire.Failed {
			return err == nil && f.Type == wire.Ready
		}
	}
	return false
}

// note keeps what a frame says about the process. Whoever gets the frame may look.
func (n *Next) note(f heard) {
	switch f.Type {
	case wire.Hello:
		var msg wire.HelloMsg
		if f.Decode(&msg) != nil || n.own() != nil {
			return
		}
		hello := &introduced{pid: msg.PID}
		if msg.PID > 1 && msg.PID != n.PID() {
			n.introduce(hello, f)
		}
		n.hello.Store(hello)
	case wire.Ready:
		var msg wire.ReadyMsg
		if len(f.Payload) == 0 || f.Decode(&msg) != nil {
			msg = wire.ReadyMsg{} // it takes nothing, and has no probation
		}
		n.takes.Store(&msg.Takes)
		n.ready.Store(&msg)
	}
}

// introduce opens the process behind a wrapper, if what it says of itself is to be believed.
func (n *Next) introduce(who *introduced, f heard) bool {
	own, err := proc.Itself(who.pid, f.by)
	if err == nil {
		who.pid, who.own = own.Pid, own
	}
	return err == nil
}

// PID is the process number of what was started.
func (n *Next) PID() int { return n.proc.PID() }

// Says is the process number of the program in its own words; 0 until it has said hello.
func (n *Next) Says() int {
	if hello := n.hello.Load(); hello != nil {
		return hello.pid
	}
	return 0
}

// own is the process that has said hello, if a wrapper was started; nil otherwise.
func (n *Next) own() *os.Process {
	if hello := n.hello.Load(); hello != nil {
		return hello.own
	}
	return nil
}

// saysReady reports whether it has said ready.
func (n *Next) saysReady() bool { return n.ready.Load() != nil }

// Said is what it said of itself with ready; the zero message until it has.
func (n *Next) Said() wire.ReadyMsg {
	if msg := n.ready.Load(); msg != nil {
		return *msg
	}
	return wire.ReadyMsg{}
}

// Serves is the process number of the program: the one that was started may be a wrapper's.
func (n *Next) Serves() int {
	if n.own() != nil {
		return n.Says()
	}
	return n.PID()
}

// Lives reports whether the process that said hello is still there: the one that was
// started may be a wrapper around it.
func (n *Next) Lives() bool {
	if own := n.own(); own != nil {
		return proc.Running(own)
	}
	return !isClosed(n.Exited)
}

// descendants returns the processes that a wrapper script has started, while the script is
// there and no program of it has said hello. They are given up with it: nobody would know
// of a program that serves on.
func (n *Next) descendants() proc.Processes {
	if n.own() != nil || program.Interpreter(n.Path) == "" {
		return nil
	}
	return proc.Descendants(n.PID())
}

// send sends a signal to the new process. A wrapper around it is killed with it, and gets
// no other signal: many pass on what they get, and a second SIGTERM cuts a drain short.
func (n *Next) send(sig syscall.Signal) {
	n.signaled.Store(true)
	own := n.own()
	if own != nil {
		_ = own.Signal(sig)
	}
	if own == nil || sig == syscall.SIGKILL {
		_ = n.proc.Signal(sig)
	}
}

// WasEnded reports whether this process has sent it a signal to end, so that its exit status is no news.
func (n *Next) WasEnded() bool { return n.signaled.Load() }

// IsHeard reports whether its stderr comes to this process.
func (n *Next) IsHeard() bool { return n.Stderr != nil && !n.Passed && (!n.Served || n.Said().Stderr) }

// WroteLast returns the last lines that it wrote to its stderr. They are nil if it had this process's.
func (n *Next) WroteLast() []string {
	switch {
	case !n.IsHeard():
		return nil // it wrote the last to its real stderr
	case !n.Lives():
		return n.Stderr.LastLines()
	}
	return n.Stderr.Lines()
}

// Kill ends the new process, and what is between, at once.
func (n *Next) Kill() { n.send(syscall.SIGKILL) }

// isGoneWithin reports whether the process that said hello ends in time.
func (n *Next) isGoneWithin(d time.Duration) bool {
	if n.own() == nil {
		return n.EndsWithin(d)
	}
	for end := time.Now().Add(d); n.Lives(); time.Sleep(timing.Poll) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// EndsWithin reports whether the process that was started has ended, or does so in time.
func (n *Next) EndsWithin(d time.Duration) bool {
	select {
	case <-n.Exited:
		return true
	case <-time.After(d):
		return isClosed(n.Exited)
	}
}

// LastWords returns the frame that decides, if the process has sent one: it may
// still be in the socket, or in the hand of the goroutine that reads. wait bounds the time in which nothing comes.
func (n *Next) LastWords(frames <-chan Event, wait time.Duration) (last Event, ok bool) {
	limit, watch := time.After(wait), n.Watch()
	for frames != nil {
		select {
		case ev, more := <-frames:
			if !more || ev.Err != nil {
				return Event{}, false
			}
			if ev.Type == wire.Failed || ev.Type == wire.Ready {
				return ev, true
			}
		case <-limit:
			if !watch.Unheard() && len(frames) == 0 {
				return Event{}, false
			}
			limit = time.After(wait)
		}
	}
	return Event{}, false
}

// Watch looks now and then whether a new process is there, and whether what it has said was heard: a machine that is busy
// may not have come to read it. It is one goroutine's. Make it with Next.Watch.
type Watch struct {
	next   *Next
	part   int // looks at which the rest of a frame was missing
	absent int // looks in a row
}

// Watch begins to watch it.
func (n *Next) Watch() Watch { return Watch{next: n} }

// Unheard reports whether something that it has said is on its way to a channel of this process, so that its silence
// means nothing. Whoever asks looks into the channel afterwards, because that is the way it goes. The rest of a frame is
// waited for at timing.Parts looks.
func (w *Watch) Unheard() bool {
	if pending(w.next.ctl) {
		return true
	}
	switch w.next.hand.Load() {
	case handFull:
		return true
	case handWaits:
		w.part++
		return w.part <= timing.Parts
	}
	w.part = 0
	return false
}

// Gone reports whether it is no more for the second time in a row, and all that it has said was heard. Another process
// may follow it, which says so before it ends.
func (w *Watch) Gone() bool {
	if w.next.Lives() || w.Unheard() {
		w.absent = 0
	} else {
		w.absent++
	}
	return w.absent > 1
}

// Vanished reports whether a process that has said ready is no more.
func (n *Next) Vanished() bool {
	if n.Plain {
		return isClosed(n.Exited) // it may have closed what it does not know
	}
	rc, err := n.ctl.(syscall.Conn).SyscallConn()
	return isClosed(n.Exited) || err != nil || fd.Ended(rc) || !n.Lives()
}

// Ask pings the new process. The channel gets a token when it has answered. A late answer to an earlier Ping counts, too,
// so there must be none: confirmed comes after the last of those.
func (n *Next) Ask() (answered <-chan struct{}, err error) {
	select {
	case <-n.Frames.ponged:
	default:
	}
	return n.Frames.ponged, n.Say(wire.Ping, nil, timing.Say)
}

// Say writes a frame to the new process, which may be stopped or gone. The limit is
// for one that reads nothing, until the socket is full. A frame of which only a part was written is the last: this
// process has hung up then.
func (n *Next) Say(t wire.Type, msg any, limit time.Duration) error {
	b, err := wire.Append(nil, t, msg)
	if err != nil {
		return err
	}
	return n.write(b, limit)
}

// write writes a frame. The limit is that of Say.
func (n *Next) write(b []byte, limit time.Duration) error {
	select {
	case n.writing <- struct{}{}:
	case <-time.After(limit):
		return os.ErrDeadlineExceeded
	}
	defer func() { <-n.writing }()
	_ = n.ctl.SetWriteDeadline(time.Now().Add(limit))
	return fd.Write(n.ctl, b)
}

// Disown leaves a word for the process to which a plain program passes the handover socket on.
func (n *Next) Disown() { _ = n.Say(wire.Disown, nil, timing.Word) }

// Introduce closes this process's duplicate of next's link, by whose end the supervisor
// knows the end of next. current is its state. A program that speaks only the plain protocol is introduced: it
// does not know of the link.
func (n *Next) Introduce(generation int, current uint8) {
	if n.Plain && n.LinkEnd >= 0 {
		msg := wire.StandMsg{PID: n.PID(), Generation: generation, State: current, Plain: true}
		if b, err := wire.Append(nil, wire.Stand, msg); err == nil {
			_ = fd.WriteAll(n.LinkEnd, b)
		}
	}
	CloseLinkEnd(n.LinkEnd)
	n.LinkEnd = -1
}

// CloseLinkEnd closes what ForNext has made; -1 is none.
func CloseLinkEnd(s int) {
	if s >= 0 {
		_ = fd.Close(s)
	}
}

// Drained tells the new process that this one's drain has ended.
func (n *Next) Drained() {
	if !n.Plain {
		_ = n.Say(wire.Drained, nil, timing.Say) // it may be gone
	}
}

// HangUp closes the handover socket, with the last word said.
func (n *Next) HangUp() { _ = n.ctl.Close() }

// release closes this process's end of the handover socket: to the new one, this one is gone.
func (n *Next) release() {
	_ = n.ctl.Close()
	n.Stderr.End()
	if own := n.own(); own != nil {
		_ = own.Release()
	}
}
