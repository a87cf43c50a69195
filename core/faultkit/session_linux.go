package main

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// session is one upgrade as its shim reports it.
type session struct {
	desk *desk

	mu        sync.Mutex
	shim      int       // pids
	child     int       //
	seen      []step    // the steps that were reached
	committed bool      // the old process has said commit
	onTrial   bool      // and can take it back
	until     time.Time // for this long, by its clock about
	confirmed bool      // and then it said confirm, and can't any more
	trace     []string  // the conversation
	closed    bool      // the shim is gone
}

// hold is a session that stands still at a step.
type hold struct {
	*session
	release chan order // room for one
}

// desk is where the shims of a cell report.
type desk struct {
	ln      net.Listener
	program string
	wg      sync.WaitGroup

	mu       sync.Mutex
	files    uint64 // the limit for the next program; 0: as it is
	armed    step   // empty: stop nowhere
	reached  chan *hold
	sessions []*session
}

func openDesk(path, program string) (*desk, error) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	d := &desk{ln: ln, program: program, reached: make(chan *hold, 1)}
	d.wg.Go(d.serve)
	return d, nil
}

// arm stops the first session that reaches the step; whoever gets the hold has to
// release it.
func (d *desk) arm(s step, files uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.files = s, files
}

// disarm lets sessions pass.
func (d *desk) disarm() { d.arm("", 0) }

// newest returns the session that began last, or nil.
func (d *desk) newest() *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sessions) == 0 {
		return nil
	}
	return d.sessions[len(d.sessions)-1]
}

// first returns the session that began first, or nil.
func (d *desk) first() *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sessions) == 0 {
		return nil
	}
	return d.sessions[0]
}

// shut lets nobody report any more: every shim that is left ends, and its program.
func (d *desk) shut() {
	d.ln.Close()
	select {
	case h := <-d.reached:
		h.release <- order{Do: doGo}
	default:
	}
	d.wg.Wait()
}

func (d *desk) serve() {
	for {
		c, err := d.ln.Accept()
		if err != nil {
			return
		}
		s := &session{desk: d}
		d.mu.Lock()
		d.sessions = append(d.sessions, s)
		d.mu.Unlock()
		d.wg.Go(func() { s.serve(c) })
	}
}

// serve answers a shim.
func (s *session) serve(c net.Conn) {
	defer c.Close()
	in, out := json.NewDecoder(c), json.NewEncoder(c)
	for {
		var r report
		if in.Decode(&r) != nil {
			break
		}
		o := order{Do: doGo}
		if s.note(r) {
			h := &hold{session: s, release: make(chan order, 1)}
			s.desk.reached <- h
			o = <-h.release
		}
		if r.At == atStart {
			s.desk.mu.Lock()
			o.Program, o.Files = s.desk.program, s.desk.files
			s.desk.mu.Unlock()
		}
		if out.Encode(o) != nil {
			break
		}
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}

// note keeps what a report says, and reports whether it is of the step at which the
// kit wants to stop.
func (s *session) note(r report) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Shim != 0 {
		s.shim = r.Shim
	}
	if r.Child != 0 {
		s.child = r.Child
	}
	switch r.At {
	case atRead:
		s.trace = append(s.trace, fmt.Sprintf("%s: %v", r.From, r.Frame))
		if r.Frame == wire.Commit {
			s.committed, s.onTrial = true, r.Probation > 0
			s.until = time.Now().Add(r.Probation)
		}
		s.confirmed = s.confirmed || r.Frame == wire.Confirm
	case atEnd:
		s.trace = append(s.trace, fmt.Sprintf("%s: %s", r.From, r.Why))
	}
	at := stepOf(r, s.onTrial && time.Until(s.until) < dueMargin)
	if at == stepConfirm && s.onTrial && s.reaches(stepLast) {
		return true // known only now, on a busy machine: confirm has not passed yet
	}
	return s.reaches(at)
}

// reaches notes a step, and reports whether it is the one at which the kit wants to stop.
func (s *session) reaches(at step) bool {
	if at == "" || slices.Contains(s.seen, at) {
		return false
	}
	s.seen = append(s.seen, at)
	return s.desk.stops(at)
}

// stops reports whether this is the step to stop at, once.
func (d *desk) stops(at step) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed != at {
		return false
	}
	d.armed = ""
	return true
}

// pids are those of the shim and of its program; 0 for one that is not known.
func (s *session) pids() (shim, child int) {
	if s == nil {
		return 0, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shim, s.child
}

// look returns what was seen so far.
func (s *session) look() (seen []step, committed, onTrial bool) {
	if s == nil {
		return nil, false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen), s.committed, s.onTrial
}

// canGoBack reports whether the old process can still take its commit back.
func (s *session) canGoBack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.onTrial && !s.confirmed
}

// nearlyOver reports whether the probation is about to end, or has: a pong that the old process hears
// from then on is the last one that it waits for.
func (s *session) nearlyOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.onTrial && time.Until(s.until) < probationMargin
}

// probationMargin is how much later than the old process the kit may have begun to count.
const probationMargin = 500 * time.Millisecond

// dueMargin is how much later than the old process the kit may have begun to count, at the most: less than
// two pings are apart. With it a pong may be the last but one.
const dueMargin = 100 * time.Millisecond

// keptTrace is how much of a conversation is worth a line.
const keptTrace = 6

// String is the end of the conversation.
func (s *session) String() string {
	if s == nil {
		return "no new process was started"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.trace) == 0 {
		return "nothing was said"
	}
	words := strings.Join(s.trace[max(0, len(s.trace)-keptTrace):], ", ")
	if len(s.trace) > keptTrace {
		words = "..., " + words
	}
	return "the last words were " + words
}
