package conns

import (
	"errors"
	"net/http"

	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// An HTTP/2 connection in the clear moves when it has no open stream: see package h2, which knows when that is.

// errNoHTTP2 is for a server that does not speak it, or can't be told of a connection.
var errNoHTTP2 = errors.New("the new process does not take HTTP/2 connections there")

// takesHTTP2 is Takes for HTTP/2.
func (s *Side) takesHTTP2(st *h2.State) error {
	if s.Greeting == nil {
		return errNoHTTP2
	}
	g, err := s.Greeting()
	if err != nil {
		return err
	}
	return g.Takes(st)
}

// withHTTP2 adds an HTTP/2 connection's state to what is known of it.
func withHTTP2(what wire.Conn, st *h2.State) wire.Conn {
	what.Name, what.State = wire.NameHTTP2, st.Append(nil)
	return what
}

// adoptHTTP2 makes it a connection that carries HTTP/2 already. It is called before anybody else sees it.
func (c *Conn) adoptHTTP2(s *Side, st *h2.State) {
	c.h2c = s
	c.SpeaksHTTP2()
	c.frames.Store(h2.Adopt(c.Conn, st, s.transport(), c.SaysGoodbye))
}

// transport is what its server is.
func (s *Side) transport() h2.Transport {
	if s.HTTP == nil {
		return h2.GRPC
	}
	return h2.NetHTTP
}

// ServeHTTP2 says that a server which is not net/http's, s, has the connection, and speaks HTTP/2 on it. If the client
// says something else, that passes as it is.
func (c *Conn) ServeHTTP2(s *Side) {
	f := h2.New(c.Conn, len(h2.Preface), 0, c.SaysGoodbye)
	f.ServedBy(s.transport())
	c.h2c = s
	c.side.Store(s)
	s.Follow(c, f)
}

// AcceptHTTP2 is called when a server which is not net/http's accepts a connection that has moved here.
func (c *Conn) AcceptHTTP2() { c.SetState(Raw) }

// followAdopted has its side know of the HTTP/2 that it carries already, if it does. Its client may have to leave.
func (c *Conn) followAdopted(leaves bool) {
	f := c.inClear()
	if f == nil {
		return
	}
	if c.h2c.Follow(c, f); leaves {
		c.h2c.Leave(f)
	}
}

// ServeAdopted gives a connection that carries HTTP/2 already to its server.
func (c *Conn) ServeAdopted() {
	c.followAdopted(false)
	c.giveTo(c.side.Load())
}

// AnswersHTTP2 answers r if that is the request by which its server was told what the connection is, and reports whether.
func (c *Conn) AnswersHTTP2(w http.ResponseWriter, r *http.Request) bool {
	f := c.inClear()
	return f != nil && f.Answer(w, r)
}

// HidesHTTP2 reports whether what its server does is for that request.
func (c *Conn) HidesHTTP2() bool {
	f := c.inClear()
	return f != nil && f.Hidden()
}

// moverHTTP2 returns what moves the HTTP/2 that it carries in the clear to the next generation; nil if it stays.
func (c *Conn) moverHTTP2() *Mover {
	if c.HTTP2Frames() == nil || !c.CanMove() || c.Is(Hijacked) { // of a handler that speaks it
		return nil
	}
	m := c.table.moves(c)
	if m == nil || m == c.stays.Load() || !m.to.Takes(wire.TakesHTTP2) || !m.takes(c.over != nil) {
		return nil
	}
	return m
}

// MovesHTTP2 reports whether the HTTP/2 that it carries is to move to the next generation.
func (c *Conn) MovesHTTP2() bool { return c.moverHTTP2() != nil && c.h2c.Moves() == nil }

// EndSide calls end, after which s, which is not net/http's, takes no more connections over. It reports false, and does
// not, if one of its connections is to move to the next generation, or waits for the server to accept it.
func (t *Table) EndSide(s *Side, end func()) bool {
	moves := s.Moves() == nil
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		if c.side.Load() == s && (c.Is(Parked) || moves && c.MovesHTTP2() && c.HTTP2Frames().Begun()) {
			return false
		}
	}
	end()
	return true
}

// MoveHTTP2 has the HTTP/2 that it carries move to the next generation as soon as it can, and reports whether it is to.
func (c *Conn) MoveHTTP2() bool {
	m := c.moverHTTP2()
	if m == nil || c.h2c.Moves() != nil {
		return false
	}
	if f := c.HTTP2Frames(); !f.Left() && !f.Moving() {
		f.Move(&http2Taker{c, m}, h2.Pace{
			Hold: timing.HTTP2Hold, Withhold: timing.HTTP2Withhold, WithholdFor: timing.HTTP2WithholdFor,
			Patience: min(timing.HTTP2Moment, m.within/2),
		})
	}
	return true
}

// http2Taker is h2's Taker.
type http2Taker struct {
	c *Conn
	m *Mover
}

// Wants reports whether the connection is to move by this mover.
func (t *http2Taker) Wants() bool { return t.c.moverHTTP2() == t.m }

// refused reports whether the new process, which goes on, did not take a connection. With another error the mover is at
// its end, and the drain sees to the connection, or the service was taken back.
func refused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// Ready reports whether no part of a record has come.
func (t *http2Taker) Ready() bool { return t.c.over == nil || t.c.over.Whole() }

// Offer offers it.
func (t *http2Taker) Offer(st *h2.State) bool {
	if !t.Wants() {
		return false
	}
	t.c.offered.Store(true)
	err := t.m.Leave(t.c, withHTTP2(t.c.description(), st))
	t.c.offered.Store(false)
	if err != nil {
		t.c.stays.Store(t.m)
	}
	var stays tls13.StaysError
	switch {
	case refused(err):
		t.c.table.noteStayedHTTP2(&t.c.table.counts.StayedHTTP2.Refused, err.Error())
		t.c.h2c.Leave(t.c.HTTP2Frames())
	case errors.As(err, &stays), errors.Is(err, tls13.ErrBusy):
		t.c.table.noteStayedHTTP2(&t.c.table.counts.StayedHTTP2.Other, err.Error())
		t.c.h2c.Leave(t.c.HTTP2Frames())
	}
	return err == nil
}

// Stays is told why it does not move.
func (t *http2Taker) Stays(why string) {
	if !t.Wants() {
		return
	}
	t.c.stays.Store(t.m)
	counts := &t.c.table.counts.StayedHTTP2
	reason := &counts.Other
	if why == h2.StuckStreams {
		reason = &counts.Streams
	}
	t.c.table.noteStayedHTTP2(reason, why)
	t.c.h2c.Leave(t.c.HTTP2Frames())
}

// noteStayedHTTP2 counts it with those of the same reason.
func (t *Table) noteStayedHTTP2(reason *uint64, why string) {
	t.mu.Lock()
	*reason++
	t.mu.Unlock()
	t.log.Debug("an HTTP/2 connection does not move; its client is asked to leave", "why", why)
}

// HTTP2ThatStays returns the HTTP/2 connections that do not move, or with all, all of them. Those that are parked are
// opened, and their clients are asked to leave.
func (t *Table) HTTP2ThatStays(all bool) (frames []*h2.Conn) {
	conns, parked := t.open()
	for _, c := range conns {
		if c.leavesOtherwise() {
			continue
		}
		if f := c.HTTP2Frames(); f != nil && (all || !c.MovesHTTP2()) {
			frames = append(frames, f)
		}
	}
	for _, p := range parked {
		if p.http2 != nil && (all || !p.moves()) && p.hold() {
			go p.leave()
		}
	}
	return frames
}

// leavesOtherwise reports whether its server sees to it that its client leaves.
func (c *Conn) leavesOtherwise() bool {
	s := c.side.Load()
	return s != nil && s.HTTP == nil
}

// moves reports whether it is to move to the next generation.
func (p *parked) moves() bool {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.moverLocked() != nil
}

// opens reports whether it has to have a server now: the client has to hear what that says, and may wait for it, or has
// asked for something already.
func (p *parked) opens() bool {
	if p.http2 == nil {
		return false
	}
	p.table.mu.Lock()
	leaves := p.leaves
	p.table.mu.Unlock()
	if leaves || len(p.http2.Held) > 0 {
		return true
	}
	g, err := p.side.Greeting()
	return err == nil && !g.Same(p.http2)
}

// leave asks the client of a connection that is held, and carries HTTP/2, to leave.
func (p *parked) leave() {
	p.table.mu.Lock()
	p.leaves = true
	p.table.mu.Unlock()
	p.open() // if it can't be opened, that is tried again
}
