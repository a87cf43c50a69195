package core

import (
	"net/http"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
)

// goAwayWait is how long a client has to answer the PING behind the first GOAWAY, before
// the last one goes out all the same. One that keeps to RFC 9113, section 6.7, answers in a
// round-trip. It is a quarter of the drain timeout at the most.
const goAwayWait = 5 * time.Second

// tellHTTP2 is rung 3: it asks the clients of all HTTP/2 connections that there are to
// leave. A connection that comes later looks whether it is to leave when it is
// followed. Each is asked once, however many drains there are.
func (u *Upgrader) tellHTTP2() {
	for _, c := range u.conns.all() {
		if f := c.frames.Load(); f != nil {
			u.askToLeave(f)
		}
	}
}

func (u *Upgrader) askToLeave(f *h2.Conn) {
	if !f.Left() {
		go f.Leave(min(goAwayWait, u.cfg.drainTimeout/4))
	}
}

// follow notes that c carries HTTP/2, whose frames are f's. The order makes sure that it is
// asked to leave if it has to: the frames are there before farewell is looked at, and
// farewell is set before tellHTTP2 looks for frames. The same goes for its end.
func (s *server) follow(c *conn, f *h2.Conn) {
	c.http2.Store(true)
	c.frames.Store(f)
	if s.u.phase.asksToLeave.Load() {
		s.u.askToLeave(f)
	}
	if c.closed.Load() {
		f.End()
	}
}

// followed reports whether r came on an HTTP/2 connection that gets its GOAWAY without an
// answer that says so. c is nil if the program's ConnContext threw it away.
func followed(c *conn, r *http.Request) bool {
	if c == nil {
		if taken, _ := r.Context().Value(takenKey{}).(*takenConn); taken != nil {
			c = taken.own
		}
	}
	return c != nil && r.ProtoMajor >= 2 && c.frames.Load() != nil
}
