package core

import (
	"net/http"
	"slices"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// tellHTTP2 is rung 3: it asks the clients of all HTTP/2 connections that do not move to
// leave, of many some at a time. A connection that comes later looks whether it is to leave when it is
// followed. Each is asked once, however many drains there are.
func (d *drainer) tellHTTP2() {
	all := d.u.conns.HTTP2ThatStays(false)
	if len(all) <= manyConns {
		d.askToLeave(all)
		return
	}
	gap := min(timing.GoodbyeGap, d.u.cfg.drainTimeout/4/time.Duration(1+len(all)/conns.Gentle))
	go func() {
		for some := range slices.Chunk(all, conns.Gentle) {
			d.askToLeave(some)
			select {
			case <-time.After(gap):
			case <-d.undone:
				return
			}
		}
	}()
}

// tellUnmoved tells the clients of those HTTP/2 connections to leave that were to move, when no more move. The service
// may be about to be taken back, and then they stay.
func (d *drainer) tellUnmoved() {
	switch {
	case !d.replaced || d.u.conns.MovesBy() != nil:
		d.unmoved = time.Time{}
	case d.unmoved.IsZero():
		d.unmoved = time.Now()
	case time.Since(d.unmoved) > timing.Reap && !d.told:
		d.told = true
		d.tellHTTP2()
	}
}

func (d *drainer) askToLeave(some []*h2.Conn) {
	for _, f := range some {
		d.u.askToLeave(f)
	}
}

func (u *Upgrader) askToLeave(f *h2.Conn) {
	if !f.Left() {
		go f.Leave(min(timing.GoAway, u.cfg.drainTimeout/4))
	}
}

// follow notes that c carries HTTP/2, whose frames are f's. The order makes sure that it
// moves, or is asked to leave, if it has to: the mover is there before it looks for frames, and
// as to leaving, the frames are there before asksToLeave is looked at, and
// asksToLeave is set before tellHTTP2 looks for frames.
func (s *server) follow(c *conns.Conn, f *h2.Conn) {
	c.Carries(f)
	if !c.MoveHTTP2() && s.u.phase.asksToLeave.Load() {
		s.u.askToLeave(f)
	}
}

// leavesByItself reports whether r came on an HTTP/2 connection that gets its GOAWAY without an
// answer that says so. c is nil if the program's ConnContext threw it away.
func leavesByItself(c *conns.Conn, r *http.Request) bool {
	if c == nil {
		if taken, _ := r.Context().Value(takenKey{}).(*takenConn); taken != nil {
			c = taken.own
		}
	}
	return c != nil && r.ProtoMajor >= 2 && c.HTTP2Frames() != nil
}
