package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

const (
	// probationMargin is how much later than the old process the kit may have begun to count.
	probationMargin = 500 * time.Millisecond
	// dueMargin is the same at the most: less than two pings are apart. With it a pong may be the last but one.
	dueMargin = 100 * time.Millisecond
	// keptTrace is how much of a conversation is worth a line.
	keptTrace = 6
)

// heard is what is known of an upgrade.
type heard struct {
	begun       bool
	shim        int       // pids; 0: not known
	child       int       //
	seen        []step    // the steps that were reached
	committed   bool      // the old process has said commit
	onProbation bool      // and can take it back
	until       time.Time // for this long, by its clock about
	confirmed   bool      // and then it said confirm, and can't any more
	trace       []string  // the conversation
	offers      []offered // that were made
	answers     int       // to them
}

// canGoBack reports whether the old process can still take its commit back.
func (h heard) canGoBack() bool { return h.onProbation && !h.confirmed }

// nearlyOver reports whether the probation is about to end, or has: a pong that the old
// process hears from then on is the last one that it waits for.
func (h heard) nearlyOver() bool { return h.onProbation && time.Until(h.until) < probationMargin }

// String is the end of the conversation.
func (h heard) String() string {
	switch {
	case !h.begun:
		return "no new process was started"
	case len(h.trace) == 0:
		return "nothing was said"
	}
	return "the last words were " + strings.Join(h.trace[max(0, len(h.trace)-keptTrace):], ", ")
}

// session is one upgrade. The kit stands between the old process and the new one.
type session struct {
	desk         *desk
	outer, inner *net.UnixConn // to the old process and to the new one
	talk         sync.Mutex    // while the conversation stands still
	release      chan action   // ends that; room for one

	heard // guarded by the desk's mutex
}

// action is what becomes of the frame that a session stands still with.
type action string

// The actions.
const (
	doGo       action = "go"
	doCut      action = "cut"      // drop it, and close both handover sockets
	doTruncate action = "truncate" // pass half of it on, and then the same
	doGarbage  action = "garbage"  // pass as many bytes on that mean nothing, and go on
)

// let gives a session that stands still the order, once.
func (s *session) let(do action) {
	select {
	case s.release <- do:
	default: // it has one
	}
}

// desk is where the shims of a cell report.
type desk struct {
	ln      *net.UnixListener
	wg      sync.WaitGroup
	reached chan *session // the one that stands still

	mu       sync.Mutex
	files    uint64 // the limit for the next program; 0: as it is
	armed    step   // empty: stop nowhere
	sessions []*session
}

func openDesk(path string) (*desk, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	d := &desk{ln: ln, reached: make(chan *session, 1)}
	d.wg.Go(d.serve)
	return d, nil
}

// arm stops the first session that reaches the step; the one that gets it has to
// let it go. An empty step lets sessions pass.
func (d *desk) arm(s step, files uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.files = s, files
}

// ends returns the session that began first and the one that began last; nil if there is none.
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
	case s := <-d.reached:
		s.let(doGo)
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
		s := d.add(&session{})
		d.wg.Go(func() { s.serve(c) })
	}
}

// add notes that an upgrade has begun.
func (d *desk) add(s *session) *session {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.desk, s.release, s.begun = d, make(chan action, 1), true
	d.sessions = append(d.sessions, s)
	return s
}

// note changes what is known of the upgrade.
func (s *session) note(change func(h *heard)) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	change(&s.heard)
}

// hear keeps what a frame says, and returns the steps that it is.
func (s *session) hear(from string, f wire.Frame) (at []step) {
	s.note(func(h *heard) {
		h.trace = append(h.trace, fmt.Sprintf("%s: %v", from, f.Type))
		switch f.Type {
		case wire.Commit:
			var msg wire.CommitMsg
			_ = f.Decode(&msg) // there is no probation then
			h.committed, h.onProbation, h.until = true, msg.Probation() > 0, time.Now().Add(msg.Probation())
		case wire.Confirm:
			h.confirmed = true
		case wire.Offer:
			o := offeredIn(f)
			o.late = h.committed && !h.canGoBack()
			h.offers = append(h.offers, o)
		case wire.Taken:
			h.answers++
		}
		var o offered // the last one, or the one that this answers
		if n := len(h.offers); n > 0 {
			o = h.offers[n-1]
			if f.Type == wire.Taken {
				o = h.offers[min(h.answers, n)-1]
			}
		}
		at = stepsOf(f.Type, h.onProbation && time.Until(h.until) < dueMargin, o)
	})
	return at
}

// end keeps why one side has nothing more to say.
func (s *session) end(of string, err error) {
	s.note(func(h *heard) { h.trace = append(h.trace, fmt.Sprintf("%s: %v", of, err)) })
}

// ask stands still if this is the step to stop at, and returns what to do then. The
// whole conversation stands still meanwhile: what is said then is heard afterwards.
func (s *session) ask(hear func() []step) action {
	s.talk.Lock()
	defer s.talk.Unlock()
	at := hear()
	if slices.Contains(at, stepConfirm) && s.look().onProbation {
		at = append([]step{stepLast}, at...) // on a busy machine the last pong is known for it only now: confirm has not passed yet
	}
	stop := false
	for _, one := range at {
		stop = s.reaches(one) || stop
	}
	if !stop {
		return doGo
	}
	s.desk.reached <- s
	return <-s.release
}

// askAt is ask at a step that is no frame.
func (s *session) askAt(at step) action { return s.ask(func() []step { return []step{at} }) }

// reaches notes a step, and reports whether it is the one at which the experiment wants to stop.
func (s *session) reaches(at step) (stop bool) {
	s.note(func(h *heard) {
		if slices.Contains(h.seen, at) {
			return
		}
		h.seen = append(h.seen, at)
		if stop = s.desk.armed == at; stop {
			s.desk.armed = ""
		}
	})
	return stop
}

// victim is the new process. At the start that is the shim.
func (s *session) victim() int {
	h := s.look()
	return cmp.Or(h.child, h.shim)
}

// look returns what was heard so far.
func (s *session) look() (now heard) {
	if s == nil {
		return heard{}
	}
	s.note(func(h *heard) { now = *h })
	return now // the slices only grow
}

// serve carries a session out for its shim, which ends when the program has.
func (s *session) serve(link *net.UnixConn) {
	defer func() { _ = link.Close() }()
	defer s.cut()
	in := fd.NewReceiver(link)
	reports := json.NewDecoder(in)
	if err := s.start(link, in, reports); err != nil {
		s.end("new", err)
		return
	}
	var sides sync.WaitGroup
	sides.Go(func() { s.relay("old", s.outer, s.inner) })
	sides.Go(func() { s.relay("new", s.inner, s.outer) })
	go func() {
		sides.Wait()
		_ = json.NewEncoder(link).Encode(allPassed) // the shim may have ended
	}()
	_ = reports.Decode(new(int)) // that is the shim's end
	s.cut()
	sides.Wait()
}

// start takes the handover socket from the shim, and tells it to start the program with another one. The welcome is in
// there already: a value of the variable that names another process than the parent is believed if one waits.
func (s *session) start(link *net.UnixConn, in *fd.Receiver, reports *json.Decoder) error {
	shim, child := 0, 0
	if err := reports.Decode(&shim); err != nil {
		return err
	}
	files := in.Take()
	if len(files) != 1 {
		return errors.New("the shim has no handover socket")
	}
	outer, err := fd.Conn(files[0])
	if err != nil {
		return err
	}
	inner, end, err := fd.Pair()
	if err != nil {
		return errors.Join(err, outer.Close())
	}
	defer func() { _ = fd.Close(end) }()
	s.outer, _ = outer.(*net.UnixConn)
	s.inner, _ = inner.(*net.UnixConn)
	if s.outer == nil || s.inner == nil {
		return errors.Join(errors.New("the handover socket is no unix socket"), outer.Close())
	}
	s.note(func(h *heard) { h.shim = shim })
	f, raw, files, err := readFrame(fd.NewReceiver(s.outer))
	if err == nil && f.Type != wire.Welcome {
		err = fmt.Errorf("it says %v", f.Type)
	}
	if err == nil {
		err = fd.Send(s.inner, raw, files)
	}
	closeAll(files)
	if err != nil {
		return fmt.Errorf("no welcome from the old process: %w", err)
	}
	s.askAt(stepStart)
	limit := uint64(0)
	s.note(func(*heard) { limit = s.desk.files })
	err = fd.Send(link, fmt.Appendln(nil, limit), []int{end})
	if err == nil {
		err = reports.Decode(&child)
	}
	s.note(func(h *heard) { h.child = child })
	return err
}

// readFrame reads one frame with the descriptors that come with it. The frame is returned as it was on the wire, too.
func readFrame(in *fd.Receiver) (f wire.Frame, raw []byte, files []int, err error) {
	var b bytes.Buffer
	f, err = wire.Read(io.TeeReader(in, &b))
	return f, b.Bytes(), in.Take(), err
}

// relay passes on what comes from one side, until it hangs up or is not understood.
// The other side is left with a closed socket then. To the old process the shim is the
// new process: it gets what signals there are, and passes each of them on once.
func (s *session) relay(from string, src, dst *net.UnixConn) {
	defer func() { _ = dst.Close() }()
	in := fd.NewReceiver(src)
	for {
		f, raw, files, err := readFrame(in)
		if err == nil && f.Type == wire.Hello {
			raw, err = wire.Append(nil, wire.Hello, wire.HelloMsg{PID: s.look().shim})
		}
		if err == nil {
			err = s.pass(from, f, dst, raw, files)
		}
		closeAll(files)
		if err != nil {
			s.end(from, err)
			return
		}
	}
}

// pass does with a frame what the experiment wants.
func (s *session) pass(from string, f wire.Frame, dst *net.UnixConn, raw []byte, files []int) error {
	var at []step
	switch s.ask(func() []step {
		at = s.hear(from, f)
		return at
	}) {
	case doGarbage:
		return fd.Send(dst, bytes.Repeat([]byte("?"), len(raw)), files)
	case doTruncate:
		_ = fd.Send(dst, raw[:len(raw)/2], files)
	case doCut:
	default:
		if err := fd.Send(dst, raw, files); err != nil {
			return err
		}
		if next := after(at); next == "" || s.askAt(next) != doCut {
			return nil
		}
	}
	s.cut()
	return net.ErrClosed
}

// cut closes both handover sockets, as one would be closed: when the old process finds the end of it, the new one has no
// answer any more that it could believe to be heard.
func (s *session) cut() {
	for _, c := range []*net.UnixConn{s.inner, s.outer} {
		if c != nil {
			_ = c.Close()
		}
	}
}

func closeAll(files []int) {
	for _, file := range files {
		_ = fd.Close(file)
	}
}
