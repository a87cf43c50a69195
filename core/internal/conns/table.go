package conns

import (
	"cmp"
	"io"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// Table holds the open connections of a generation and its counts.
type Table struct {
	clock
	goodbye *Goodbye // the generation's: what Draining returns
	log     *slog.Logger
	netConn func(s int) (net.Conn, error) // makes a connection of s, which stays open; a test's own

	mover     atomic.Pointer[Mover] // nil unless connections move to the next generation; see moves
	waking    sync.Mutex            // held while the mover wakes a connection
	timesIdle atomic.Bool           // connections note from when on they are idle
	late      atomic.Bool           // the last stretch of the drain

	origins atomic.Pointer[[]*Origin] // from which connections have come; see originLocked
	unknown Origin                    // of connections whose listener is not known

	mu      sync.Mutex
	tracked uint64 // how many connections there have been
	closed  bool   // no more is adopted
	conns   map[*Conn]struct{}
	lot     lot
	given   given
	sockets map[io.Closer]struct{} // datagram sockets that the program has not closed
	counts  Counts
	changed chan struct{} // a nudge when a connection leaves; room for one
}

// Counts is what has become of the connections.
type Counts struct {
	Accepted, Adopted          uint64
	Moved                      Moved  // to the next generation
	Refused                    uint64 // by the next generation
	ClosedPolitely, ClosedIdle uint64
	HijackedHTTP2              uint64
	StayedHTTP2                Stayed
	StayedTLS                  StayedTLS
	Cut                        Left
}

// Stayed counts the HTTP/2 connections that were to move and have not, by reason.
type Stayed struct {
	Streams uint64 // they always had a stream open
	Refused uint64 // the next generation did not take them
	Other   uint64 // they are as no connection moves: see package h2
}

// StayedTLS counts the TLS connections that were to move and have not, by reason.
type StayedTLS struct {
	Version uint64 // TLS 1.2 or older
	Suite   uint64 // a cipher suite other than AES-GCM
	Key     uint64 // the client had changed its key
	Other   uint64 // see package tls13
}

// Left is what a drain waits for, or has cut: see Remaining.
type Left struct{ Requests, Connections, Hijacked, Sockets int }

func (l Left) plus(more Left) Left {
	return Left{
		l.Requests + more.Requests, l.Connections + more.Connections, l.Hijacked + more.Hijacked, l.Sockets + more.Sockets,
	}
}

// Account returns the counts, and how many requests were answered.
func (t *Table) Account() (c Counts, served uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts, t.Served()
}

// NewTable makes an empty table of a process with the goodbye g.
func NewTable(g *Goodbye) *Table {
	t := &Table{
		clock:   clock{time.Now()},
		goodbye: g,
		log:     slog.New(slog.DiscardHandler),
		netConn: fd.AdoptCopy,
		conns:   make(map[*Conn]struct{}),
		sockets: make(map[io.Closer]struct{}),
		changed: make(chan struct{}, 1),
	}
	t.origins.Store(new([]*Origin))
	return t
}

// LogTo is called before anything else.
func (t *Table) LogTo(log *slog.Logger) { t.log = log }

// Track takes a connection in. It is in the table before anybody else sees it.
func (t *Table) Track(nc net.Conn, from *Origin, st State) *Conn {
	return t.track(&Conn{Conn: nc, table: t, from: from}, from, st)
}

// TrackForeign is Track for a connection that has not come from a listener of ours, so that it can't move. It counts at
// that which a listener of the program's own wraps; nil if there is none.
func (t *Table) TrackForeign(nc net.Conn, at *Origin) *Conn {
	return t.track(&Conn{Conn: nc, table: t}, at, New)
}

func (t *Table) track(c *Conn, at *Origin, st State) *Conn {
	c.idle.Store(t.now())
	c.SetState(st)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(c, at)
	if !c.shadow() {
		t.acceptedLocked(at)
	}
	return c
}

// Adopt takes in a connection that the old process has handed over; state is nil unless that is HTTP/2. It returns nil if
// it is too late, for this process or for s.
func (t *Table) Adopt(nc net.Conn, s *Side, what wire.Conn, state *h2.State) *Conn {
	c := &Conn{Conn: nc, table: t}
	if over, ok := nc.(*tls13.Conn); ok {
		c.secure(over)
	}
	if state != nil {
		c.adoptHTTP2(s, state)
	}
	c.boundary.unused = what.Unused
	c.side.Store(s)
	st := Hijacked
	if s != nil {
		st = Parked
		c.from = s.From
	}
	c.state.Store(int32(st))
	c.idle.Store(t.now() - int64(what.Idle()))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || s != nil && isClosed(s.Over) {
		return nil
	}
	t.addLocked(c, c.from)
	t.counts.Adopted++
	return c
}

func (t *Table) addLocked(c *Conn, at *Origin) {
	t.tracked++
	c.number = t.tracked
	c.served = t.originLocked(at).served.part(c.number)
	t.conns[c] = struct{}{}
}

func (t *Table) acceptedLocked(at *Origin) {
	t.counts.Accepted++
	t.originLocked(at).accepted++
}

// Serve notes that a server has taken the connection.
func (t *Table) Serve(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.shadow() {
		t.acceptedLocked(c.from) // the wrapper did not hide it after all
	}
	c.SetState(New)
}

// shadow reports whether another entry of the table stands for the connection: the program wrapped one of our
// listeners in a type that hides it, and what a server accepts from that type is tracked again.
func (c *Conn) shadow() bool {
	return c.from != nil && c.from.Wrapped.Load() && c.Is(Raw)
}

func (t *Table) remove(c *Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(c)
}

func (t *Table) removeLocked(c *Conn) {
	delete(t.conns, c)
	if c.given {
		delete(t.given.m, c.Conn)
	}
	switch closeReason(c.closing.Load()) {
	case closedPolitely:
		t.counts.ClosedPolitely++
	case closedIdle:
		t.counts.ClosedIdle++
	}
	t.hasLostLocked()
}

// hasLostLocked nudges a drain when a connection has left.
func (t *Table) hasLostLocked() {
	if len(t.conns)+len(t.lot.conns) < fewConns { // looking for the rest takes time
		t.Nudge()
	}
}

// fewConns is how few open connections make a drain look at each that goes. Before,
// it looks from time to time.
const fewConns = 64

// AddSocket takes a datagram socket in, and reports false if it is too late.
func (t *Table) AddSocket(c io.Closer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.sockets[c] = struct{}{}
	return true
}

// RemoveSocket takes it out.
func (t *Table) RemoveSocket(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sockets, c)
	t.Nudge()
}

// openSockets returns the datagram sockets that the program has not closed.
func (t *Table) openSockets() []io.Closer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.sockets))
}

// Nudge makes a drain look again.
func (t *Table) Nudge() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// Count is how many connections are open.
func (t *Table) Count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.conns) + len(t.lot.conns)
}

// All returns the open connections, without those that are parked in the lot.
func (t *Table) All() []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.allLocked()
}

func (t *Table) allLocked() []*Conn {
	out := make([]*Conn, 0, len(t.conns))
	for c := range t.conns {
		if !t.endedLocked(c) && !c.shadow() {
			out = append(out, c)
		}
	}
	return out
}

// open returns all open connections, those that are parked apart.
func (t *Table) open() (conns []*Conn, in []*parked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.allLocked(), slices.Collect(maps.Values(t.lot.conns))
}

// Empty reports whether no connection is open, and with sockets, no datagram socket.
func (t *Table) Empty(sockets bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.emptyLocked() && (!sockets || len(t.sockets) == 0)
}

// emptyLocked reports whether it has no connection that is to be waited for.
func (t *Table) emptyLocked() bool {
	if len(t.lot.conns) > 0 {
		return false
	}
	for c := range t.conns {
		if !t.endedLocked(c) && !c.shadow() {
			return false
		}
	}
	return true
}

// Waiting is a connection that waits for a request: a *Conn, or one that is parked in the lot.
type Waiting interface {
	DismissIdle() // closes it if it is idle, and no request has just arrived
	idleSince() int64
}

// Quiet returns the connections that wait for a request, longest idle first.
func (t *Table) Quiet() []Waiting {
	conns, parked := t.open()
	var out []Waiting
	for _, c := range conns {
		if c.quiet() {
			out = append(out, c)
		}
	}
	for _, p := range parked {
		if p.waits() {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b Waiting) int { return cmp.Compare(a.idleSince(), b.idleSince()) })
	return out
}

// Left counts what a drain still waits for.
func (t *Table) Left() Left {
	conns := t.All()
	r := Left{Sockets: len(t.openSockets()), Connections: t.parkedCount()}
	for _, c := range conns {
		if closeReason(c.closing.Load()) == closedMoved {
			continue // on its way out of the table
		}
		if c.Is(Hijacked) {
			r.Hijacked++
			if f := c.HTTP2Frames(); f != nil {
				r.Requests += f.Open()
			}
			continue
		}
		r.Connections++
		r.Requests += c.unanswered()
	}
	return r
}

// parkedCount is how many parked connections a drain still waits for.
func (t *Table) parkedCount() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.lot.conns {
		if !p.parting {
			n++
		}
	}
	return n
}

// QuietFor returns the connections that have waited for a request for so long, longest idle first.
func (t *Table) QuietFor(d time.Duration) []Waiting {
	quiet, since := t.Quiet(), t.now()-int64(d)
	return quiet[:sort.Search(len(quiet), func(i int) bool { return quiet[i].idleSince() > since })]
}

// TimeIdle has the connections note from when on they are idle, or not any more. They are to from the beginning of an
// upgrade on, and in a drain.
func (t *Table) TimeIdle(on bool) { t.timesIdle.Store(on) }

// CountHijackedHTTP2 counts an HTTP/2 connection that a handler has taken over.
func (t *Table) CountHijackedHTTP2() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts.HijackedHTTP2++
}

// Changes gets a value when a drain is to look again.
func (t *Table) Changes() <-chan struct{} { return t.changed }

// MoveBy makes the connections move by m, which ends that itself.
func (t *Table) MoveBy(m *Mover) { t.mover.Store(m) }

// MovesBy returns the mover; nil when connections stay.
func (t *Table) MovesBy() *Mover { return t.mover.Load() }

// moves returns the mover that c is to move by, or nil.
func (t *Table) moves(c *Conn) *Mover {
	m := t.mover.Load()
	if m != nil && !m.all.Load() && c.chosen.Load() != m {
		return nil
	}
	return m
}

// IsClosed reports whether no more connections are adopted.
func (t *Table) IsClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// Close ends the adopting of connections, unless the drain was undone. It reports false then.
func (t *Table) Close(undone <-chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(undone) {
		return false
	}
	t.closed = true
	return true
}

// CloseEmpty makes the table adopt nothing any more, unless it has connections that are to be waited for. It reports
// whether the table is closed.
func (t *Table) CloseEmpty() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = t.closed || t.emptyLocked()
	return t.closed
}

// EnterLastStretch notes that the deadline is near, unless the drain was undone. It reports whether that is news.
func (t *Table) EnterLastStretch(undone <-chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !isClosed(undone) && !t.late.Swap(true)
}

// InLastStretch reports whether the deadline of the drain is near.
func (t *Table) InLastStretch() bool { return t.late.Load() }

// Reopen is for a drain that was undone.
func (t *Table) Reopen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = false
	t.late.Store(false)
}

// CutAll closes the connections that are left, and with sockets the datagram sockets, and counts
// them as cut, unless the drain was undone: what has come since must not be among them.
func (t *Table) CutAll(sockets bool, undone <-chan struct{}) Left {
	rest, open := t.Left(), t.openSockets()
	if !sockets {
		rest.Sockets, open = 0, nil
	}
	t.mu.Lock()
	if isClosed(undone) {
		t.mu.Unlock()
		return Left{}
	}
	t.counts.Cut = t.counts.Cut.plus(rest)
	conns, parked := t.allLocked(), t.cutLotLocked()
	t.mu.Unlock()
	fd.CloseAll(parked)
	for _, c := range conns {
		c.dismiss(closedCut)
	}
	for _, c := range open {
		_ = c.Close()
	}
	return rest
}

// clock is the table's: nanoseconds since it was made.
type clock struct{ base time.Time }

func (c clock) now() int64 { return int64(time.Since(c.base)) }
