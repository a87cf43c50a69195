package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// probationMargin is how much later than the old process the kit may have begun to
	// count.
	probationMargin = 500 * time.Millisecond
	// dueMargin is the same at the most: less than two pings are apart. With it a pong
	// may be the last but one.
	dueMargin = 100 * time.Millisecond
	// keptTrace is how much of a conversation is worth a line.
	keptTrace = 6
)

// heard is what is known of an upgrade.
type heard struct {
	begun     bool
	shim      int       // pids; 0: not known
	child     int       //
	seen      []step    // the steps that were reached
	committed bool      // the old process has said commit
	onTrial   bool      // and can take it back
	until     time.Time // for this long, by its clock about
	confirmed bool      // and then it said confirm, and can't any more
	trace     []string  // the conversation
}

// canGoBack reports whether the old process can still take its commit back.
func (h heard) canGoBack() bool { return h.onTrial && !h.confirmed }

// nearlyOver reports whether the probation is about to end, or has: a pong that the old
// process hears from then on is the last one that it waits for.
func (h heard) nearlyOver() bool { return h.onTrial && time.Until(h.until) < probationMargin }

// String is the end of the conversation.
func (h heard) String() string {
	switch {
	case !h.begun:
		return "no new process was started"
	case len(h.trace) == 0:
		return "nothing was said"
	}
	words := strings.Join(h.trace[max(0, len(h.trace)-keptTrace):], ", ")
	if len(h.trace) > keptTrace {
		words = "..., " + words
	}
	return "the last words were " + words
}

// session is one upgrade. The kit stands between the old process and the new one.
type session struct {
	desk         *desk
	outer, inner *net.UnixConn // to the old process and to the new one
	talk         sync.Mutex    // while the conversation stands still

	mu sync.Mutex
	heard
}

// side is one of the two processes of an upgrade.
type side string

// The sides.
const (
	sideOld side = "old"
	sideNew side = "new"
)

// action is what becomes of the frame that a session stands still with.
type action string

// The actions.
const (
	doGo       action = "go"
	doCut      action = "cut"      // drop it, and close both handover sockets
	doTruncate action = "truncate" // pass half of it on, and then the same
	doGarbage  action = "garbage"  // pass as many bytes on that mean nothing, and go on
)

// hold is a session that stands still at a step.
type hold struct {
	*session
	release chan action // room for one
}

// let gives the order, once.
func (h *hold) let(do action) {
	select {
	case h.release <- do:
	default: // it has one
	}
}

// desk is where the shims of a cell report.
type desk struct {
	ln      *net.UnixListener
	program string
	wg      sync.WaitGroup

	mu       sync.Mutex
	files    uint64 // the limit for the next program; 0: as it is
	armed    step   // empty: stop nowhere
	reached  chan *hold
	sessions []*session
}

func openDesk(path, program string) (*desk, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	d := &desk{ln: ln, program: program, reached: make(chan *hold, 1)}
	d.wg.Go(d.serve)
	return d, nil
}

// arm stops the first session that reaches the step; the one that gets the hold has to
// release it. An empty step lets sessions pass.
func (d *desk) arm(s step, files uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.files = s, files
}

// ends returns the session that began first and the one that began last; nil if there
// is none.
func (d *desk) ends() (first, newest *session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.sessions); n > 0 {
		first, newest = d.sessions[0], d.sessions[n-1]
	}
	return first, newest
}

// shut lets nobody report any more: every shim that is left ends, and its program.
func (d *desk) shut() {
	d.ln.Close()
	select {
	case h := <-d.reached:
		h.release <- doGo
	default:
	}
	d.wg.Wait()
}

func (d *desk) serve() {
	for {
		c, err := d.ln.AcceptUnix()
		if err != nil {
			return
		}
		s := &session{desk: d, heard: heard{begun: true}}
		d.mu.Lock()
		d.sessions = append(d.sessions, s)
		d.mu.Unlock()
		d.wg.Go(func() { s.serve(c) })
	}
}

// order is what a shim is to start.
func (d *desk) order() order {
	d.mu.Lock()
	defer d.mu.Unlock()
	return order{Program: d.program, Files: d.files}
}

// met notes the processes.
func (s *session) met(r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shim, s.child = r.Shim, r.Child
}

// hear keeps what a frame says, and returns the step that it is; empty for none.
func (s *session) hear(from side, f wire.Frame) step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf("%s: %v", from, f.Type))
	if f.Type == wire.Commit {
		d := probation(f)
		s.committed, s.onTrial, s.until = true, d > 0, time.Now().Add(d)
	}
	s.confirmed = s.confirmed || f.Type == wire.Confirm
	return stepOf(f.Type, s.onTrial && time.Until(s.until) < dueMargin)
}

// end keeps why one side has nothing more to say.
func (s *session) end(of side, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf("%s: %v", of, err))
}

// ask stands still if this is the step to stop at, and returns what to do then. The
// whole conversation stands still meanwhile.
func (s *session) ask(at step) action {
	s.talk.Lock()
	defer s.talk.Unlock()
	return s.askLocked(at)
}

// askFor is ask at the step that a frame is. What is said while the conversation stands
// still is heard afterwards.
func (s *session) askFor(from side, f wire.Frame) action {
	s.talk.Lock()
	defer s.talk.Unlock()
	return s.askLocked(s.hear(from, f))
}

func (s *session) askLocked(at step) action {
	// On a busy machine the last pong is known for it only now: confirm has not passed yet.
	last := at == stepConfirm && s.look().onTrial && s.reaches(stepLast)
	if !last && !s.reaches(at) {
		return doGo
	}
	h := &hold{session: s, release: make(chan action, 1)}
	s.desk.reached <- h
	return <-h.release
}

// reaches notes a step, and reports whether it is the one at which the trial wants to stop.
func (s *session) reaches(at step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at == "" || slices.Contains(s.seen, at) {
		return false
	}
	s.seen = append(s.seen, at)
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	if s.desk.armed != at {
		return false
	}
	s.desk.armed = ""
	return true
}

// look returns what was heard so far.
func (s *session) look() heard {
	if s == nil {
		return heard{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.heard
	h.seen, h.trace = slices.Clone(h.seen), slices.Clone(h.trace)
	return h
}
