package core

import (
	"fmt"
	"log/slog"
	"os"
)

// Remaining is what a drain's deadline finds unfinished.
type Remaining struct {
	Requests    int // requests that are read or answered
	Connections int // open connections, without the hijacked ones
	Hijacked    int // connections that handlers took over (WebSocket)
	Sockets     int // datagram sockets that the program has not closed
}

// none reports whether nothing is left that a deadline would cut.
func (r Remaining) none() bool { return r == Remaining{} }

// String says what is left in words.
func (r Remaining) String() string {
	s := fmt.Sprintf("%s on %s, %s", count(r.Requests, "request"), count(r.Connections, "connection"), count(r.Hijacked, "hijacked connection"))
	if r.Sockets > 0 {
		s += ", " + count(r.Sockets, "datagram socket")
	}
	return s
}

// count says how many there are of a thing.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Ledger is the account of one generation: what came in and what became of it.
// It is a snapshot; the counts of a generation that runs move on.
type Ledger struct {
	Generation int
	PID        int
	State      State

	Accepted       uint64 // connections accepted
	Served         uint64 // requests whose handler returned
	Adopted        uint64 // connections taken over from the generation before
	Moved          uint64 // connections handed to the next generation
	Refused        uint64 // connections that the next generation did not take
	ClosedPolitely uint64 // connections closed after a last response that said so
	ClosedIdle     uint64 // connections closed idle, at the end of a drain

	Cut  Remaining // what a drain's deadline cut: the requests that were lost
	Open Remaining // what is open now
}

// LogValue lets the ledger be logged as one group.
func (l Ledger) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Uint64("accepted", l.Accepted),
		slog.Uint64("served", l.Served),
		slog.Uint64("adopted", l.Adopted),
		slog.Uint64("moved", l.Moved),
		slog.Uint64("refused", l.Refused),
		slog.Uint64("closed_politely", l.ClosedPolitely),
		slog.Uint64("closed_idle", l.ClosedIdle),
		slog.Int("cut_requests", l.Cut.Requests),
		slog.Int("cut_connections", l.Cut.Connections),
		slog.Int("cut_hijacked", l.Cut.Hijacked),
		slog.Int("cut_sockets", l.Cut.Sockets),
	)
}

// Stats returns the ledger of this process's generation, the zero Ledger before
// an Upgrader was made. Any goroutine may call it at any time.
func Stats() Ledger {
	if u := running.Load(); u != nil {
		return u.Stats()
	}
	return Ledger{PID: os.Getpid()}
}

// CurrentState returns where this process stands, StateNone before an Upgrader
// was made. It is cheap enough for every request.
func CurrentState() State {
	if u := running.Load(); u != nil {
		return u.State()
	}
	return StateNone
}

// Generation returns which process of the app this one is, counted from 0: the
// number of upgrades before it. It is 0 before an Upgrader was made.
func Generation() int {
	if u := running.Load(); u != nil {
		return u.generation
	}
	return 0
}

// Stats returns the ledger of this generation.
func (u *Upgrader) Stats() Ledger {
	c, served := u.conns.Account()
	return Ledger{
		Generation: u.generation, PID: os.Getpid(), State: u.State(),
		Accepted: c.Accepted, Served: served, Adopted: c.Adopted, Moved: c.Moved, Refused: c.Refused,
		ClosedPolitely: c.ClosedPolitely, ClosedIdle: c.ClosedIdle,
		Cut: Remaining(c.Cut), Open: u.remaining(),
	}
}

// remaining is what a drain waits for.
func (u *Upgrader) remaining() Remaining { return Remaining(u.conns.Left()) }
