package core

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// process is a started process. It is the seam to the operating system, with
// system.
type process interface {
	pid() int
	signal(os.Signal) error
	wait() string // blocks until it has ended, reaps it, and says how it ended
}

// system is what an attempt needs of the operating system; tests put another one
// behind it.
type system struct {
	// start starts path as the next generation, which inherits files from
	// descriptor 3 up. The files stay the caller's.
	start func(path string, l launch, control string, files []int) (process, error)
}

var realSystem = system{start: startProcess}

// successor is the next generation as the old process sees it.
type successor struct {
	process
	path   string
	ctl    net.Conn
	frames chan frameEvent // what it says until it is ready
	plain  bool            // it speaks only the plain protocol
	serves bool            // it has said ready: it accepts
	began  time.Time
	exited chan struct{} // closed when it has ended and was reaped
	how    string        // valid once exited
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
	return msg.Reason
}

func newSuccessor(path string, proc process, ctl net.Conn) *successor {
	n := &successor{
		process: proc, path: path, ctl: ctl, began: time.Now(),
		// Hello, Ready or Failed, and the end: the reader never blocks on a
		// protocol that is kept, and stops at the first frame too many.
		frames: make(chan frameEvent, 8),
		exited: make(chan struct{}),
	}
	go n.read()
	go func() {
		n.how = proc.wait()
		n.ran = time.Since(n.began)
		close(n.exited)
	}()
	return n
}

// read passes frames on until the one that decides.
func (n *successor) read() {
	for range cap(n.frames) {
		f, err := wire.Read(n.ctl)
		n.frames <- frameEvent{f, err}
		if err != nil || f.Type == wire.Ready || f.Type == wire.Failed {
			return
		}
	}
}

func (n *successor) endsWithin(d time.Duration) bool {
	select {
	case <-n.exited:
		return true
	case <-time.After(d):
		return false
	}
}

// lastWords returns the reason that a process which has ended gave before, if it
// did: it may still be in the socket.
func (n *successor) lastWords(frames <-chan frameEvent) string {
	_ = n.ctl.SetReadDeadline(time.Now().Add(time.Second)) // another process may hold its end open
	for frames != nil {
		ev := <-frames
		if ev.err == nil && ev.Type == wire.Failed {
			return ev.reason()
		}
		if ev.err != nil || ev.Type == wire.Ready {
			break
		}
	}
	return ""
}

// commit tells the new process that it is current.
func (n *successor) commit(drain time.Duration, again bool) error {
	if n.plain {
		return nil
	}
	_ = n.ctl.SetWriteDeadline(time.Now().Add(parentWait))
	return wire.Write(n.ctl, wire.Commit, wire.CommitMsg{DrainMillis: drain.Milliseconds(), Again: again})
}

// abort gives the new process up, and returns when it has ended and was reaped.
// One that has begun to accept has the time of a drain to finish what it accepted.
func (n *successor) abort(reason string, drain time.Duration) {
	_ = n.ctl.SetWriteDeadline(time.Now().Add(time.Second))
	_ = wire.Write(n.ctl, wire.Abort, wire.ReasonMsg{Reason: reason})
	_ = n.signal(syscall.SIGTERM)
	grace := killGrace
	if n.serves || n.plain {
		grace += drain
	}
	limit := time.NewTimer(grace)
	defer limit.Stop()
	for frames := n.frames; ; {
		select {
		case <-n.exited:
			return
		case ev := <-frames:
			if ev.err != nil {
				frames = nil
			} else if ev.Type == wire.Ready { // a moment too late
				limit.Reset(killGrace + drain)
			}
		case <-limit.C:
			_ = n.signal(os.Kill)
		}
	}
}

// explain makes the error of an attempt whose process has ended.
func (n *successor) explain(err error) error {
	if errors.Is(err, errTermWasAStop) || errors.Is(err, ErrStopped) {
		return err
	}
	file, _ := explain(n.path, boot.launch.dir)
	return &StartError{Path: n.path, File: file, PID: n.pid(), Exit: n.how, Ran: n.ran, Err: err}
}

// release closes this process's end of the control socket: the new one then
// knows that this generation has ended, even if the process lives on.
func (n *successor) release() { _ = n.ctl.Close() }
