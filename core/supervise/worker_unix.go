//go:build unix

package supervise

import (
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// The states are where a worker stands; the numbers are those of core.State, which this package can't name.
const (
	stateNone uint8 = iota
	stateStarting
	stateCurrent
	stateUpgrading
	stateProbation
	stateDraining
	stateStopping
	stateStopped
)

// worker is one process of the program as the supervisor sees it.
type worker struct {
	conn *net.UnixConn // the link

	pid        int             // 0: it has not said
	child      int             // what was started: the worker, or a script around it; 0 if it is not known
	started    bool            // by the supervisor
	bell       *spawn.Doorbell // ... which it has not answered, as far as is known; nil for none
	proc       *os.Process     // nil while pid is 0
	generation int
	state      uint8
	clean      bool      // it has served, and stops because it was asked to
	wayBack    bool      // it drains, and serves again if the worker that serves ends
	works      bool      // its background work runs
	waits      bool      // it has not heard yet that no other worker's does
	drained    bool      // it has handed over, and has only its main left
	hurried    bool      // that was told to return
	since      time.Time // when it became current; zero if it did not

	fromRelease string    // that it runs, as far as is known
	begun       time.Time // when it was started, nearly

	kept *bundle // its listeners, while it serves

	launch     []byte // what it has said so far of how it was started
	unbelieved bool   // a part of that has come from a process with fewer rights than the supervisor

	plain bool             // it does not read from the link
	asked []wire.SignalMsg // that it has not answered
	later []wire.SignalMsg // that came before it had given its number, or had said whether it serves again

	reading reading

	gone    bool        // its end of the link is closed
	overdue bool        // ... and its exit status should have come by now
	status  *exitStatus // nil: not known
}

// serves reports whether the worker serves, or may yet.
func (w *worker) serves() bool { return w.state <= stateProbation || w.wayBack }

// served reports whether the worker had the service, by its last word.
func (w *worker) served() bool { return w.state >= stateCurrent && w.state <= stateProbation }

// hears reports whether the worker has its signal handlers.
func (w *worker) hears() bool { return w.state >= stateStarting && w.state < stateStopped }

// ended reports whether all is known of its end that will be.
func (w *worker) ended() bool { return w.gone && (w.status != nil || w.overdue) }

// stoppedEarly reports whether the worker ended by a stop signal, before it could handle that.
func (w *worker) stoppedEarly(stops []os.Signal) bool {
	return !w.hears() && w.status != nil && w.status.Signaled() && slices.Contains(stops, os.Signal(w.status.Signal()))
}

// stand takes what the worker says of itself.
func (w *worker) stand(msg wire.StandMsg) {
	w.bell.Close() // it has answered that before
	w.plain, w.works = msg.Plain, msg.Works
	w.generation = max(w.generation, msg.Generation)
	if w.state != stateDraining || w.wayBack && (msg.State == stateCurrent || msg.State == stateDraining) {
		// A worker that drains has handed over, and that its end is clean says nothing of the
		// service: unless it takes that back.
		w.state, w.clean, w.wayBack = msg.State, msg.Clean, msg.WayBack
	}
	if w.state == stateCurrent && w.since.IsZero() {
		w.since = time.Now()
	}
}

// identify opens a handle while the number is sure to be that process's, because this process has started it.
func (w *worker) identify(pid int) {
	w.pid = pid
	w.proc, _ = os.FindProcess(pid)
}

func (w *worker) signal(sig syscall.Signal) error {
	if w.proc == nil {
		return os.ErrProcessDone
	}
	return w.proc.Signal(sig)
}

// ask passes a signal on: over the link, where it is answered, if the worker reads from that.
func (w *worker) ask(msg wire.SignalMsg) {
	if w.pid == 0 && !w.gone {
		w.later = append(w.later, msg)
		return
	}
	if w.plain || !w.hears() {
		_ = w.signal(syscall.Signal(msg.Signal))
		return
	}
	w.asked = append(w.asked, msg)
	_ = w.say(wire.Signal, msg) // what is not answered is asked of another one
}

// say writes a frame to the worker, which may be stopped. A frame of which only a part was written is the last: the link
// is closed then, and its end noticed.
func (w *worker) say(t wire.Type, msg any) error {
	b, err := wire.Append(nil, t, msg)
	if err != nil {
		return err
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(timing.Say))
	return fd.Write(w.conn, b)
}

// answered takes out what a Heard answers. It reports false for what was not asked.
func (w *worker) answered(id int) (msg wire.SignalMsg, ok bool) {
	for i, a := range w.asked {
		if a.ID == id {
			w.asked = append(w.asked[:i:i], w.asked[i+1:]...)
			return a, true
		}
	}
	return msg, false
}

// exits takes how the worker has ended. What it has not taken would keep its end of the link open.
func (w *worker) exits(status syscall.WaitStatus) {
	w.status = &exitStatus{status}
	w.bell.Close()
}

func (w *worker) release() {
	if w.proc != nil {
		_ = w.proc.Release()
		w.proc = nil
	}
}

// word is what came over a worker's link.
type word struct {
	*worker
	frame wire.Frame
	files []int // that came with it, and are the receiver's
	by    fd.Speaker
	err   error // the link's end
}

// listen passes on what the worker says, until the end, or with errParked until it is parked.
func (w *worker) listen(words chan<- word, quit <-chan struct{}) {
	in := fd.NewReceiver(w.conn)
	for {
		f, err := wire.Frame{}, w.await()
		if err == nil {
			f, err = wire.Read(in)
		}
		by, one := in.Speaker()
		if err == nil && !one {
			err = wire.ErrSeveral
		}
		wd := word{worker: w, frame: f, files: in.Take(), by: by, err: err}
		select {
		case words <- wd:
		case <-quit:
			fd.CloseAll(wd.files)
			return
		}
		if err != nil {
			return
		}
	}
}

// exitStatus is how a process ended.
type exitStatus struct{ syscall.WaitStatus }

// clean reports whether it ended by itself, with status 0.
func (s *exitStatus) clean() bool { return s != nil && s.Exited() && s.ExitStatus() == 0 }

// code is the exit code that a shell would show.
func (s *exitStatus) code() int {
	switch {
	case s == nil:
		return 1
	case s.Signaled():
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

func (s *exitStatus) String() string {
	switch {
	case s == nil:
		return "not known, because it was no child of the supervisor"
	case s.Signaled():
		return "signal: " + s.Signal().String()
	}
	return "exit status " + strconv.Itoa(s.ExitStatus())
}
