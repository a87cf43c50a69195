package core

import (
	"cmp"
	"io"
	"maps"
	"net"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// connTable holds the open connections of a generation and its counts.
type connTable struct {
	clock
	goodbye *goodbye // the generation's: what Draining returns

	mover  atomic.Pointer[mover] // nil unless connections move to the next generation; see moves
	waking sync.Mutex            // held while the mover wakes a connection
	drains atomic.Bool           // the drain has begun
	late   atomic.Bool           // the last stretch of the drain

	served counter // requests whose handler has returned

	mu      sync.Mutex
	tracked uint64 // how many connections there have been
	closed  bool   // no more is adopted
	conns   map[*conn]struct{}
	sockets map[io.Closer]struct{} // datagram sockets that the program has not closed
	counts  counts
	changed chan struct{} // a nudge when a connection leaves; room for one
}

// counts is what has become of the connections.
type counts struct {
	accepted, adopted          uint64
	moved, refused             uint64 // to the next generation, or by it
	closedPolitely, closedIdle uint64
	cut                        left
}

// left is what a drain waits for, or has cut: see Remaining.
type left struct{ Requests, Connections, Hijacked, Sockets int }

func (l left) plus(more left) left {
	return left{
		l.Requests + more.Requests, l.Connections + more.Connections, l.Hijacked + more.Hijacked, l.Sockets + more.Sockets,
	}
}

// account returns the counts, and how many requests were answered.
func (t *connTable) account() (c counts, served uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts, t.served.sum()
}

func newConnTable(g *goodbye) *connTable {
	return &connTable{
		clock:   clock{time.Now()},
		goodbye: g,
		conns:   make(map[*conn]struct{}),
		sockets: make(map[io.Closer]struct{}),
		changed: make(chan struct{}, 1),
	}
}

// track takes a connection in. It is in the table before anybody else sees it.
func (t *connTable) track(nc net.Conn, from *origin, st connState) *conn {
	c := &conn{Conn: nc, table: t, from: from}
	c.idle.Store(t.now())
	c.setState(st)
	t.mu.Lock()
	t.addLocked(c)
	if !c.shadow() {
		t.counts.accepted++
	}
	t.mu.Unlock()
	return c
}

// adopt takes in a connection that the old process has handed over. It returns nil
// if it is too late.
func (t *connTable) adopt(nc net.Conn, s *side, what wire.Conn) *conn {
	c := &conn{Conn: nc, table: t}
	c.boundary.unused = what.Unused
	c.side.Store(s)
	st := connHijacked
	if s != nil {
		st = connParked
		c.from = s.from
	}
	c.state.Store(int32(st))
	c.idle.Store(t.now() - int64(time.Duration(what.IdleMillis)*time.Millisecond))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.addLocked(c)
	t.counts.adopted++
	return c
}

func (t *connTable) addLocked(c *conn) {
	t.tracked++
	c.served = t.served.part(t.tracked)
	t.conns[c] = struct{}{}
}

// serve notes that a server has taken the connection.
func (t *connTable) serve(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.shadow() {
		t.counts.accepted++ // the wrapper did not hide it after all
	}
	c.setState(connNew)
}

// shadow reports whether another entry of the table stands for the connection:
// the program wrapped one of our listeners in a type that hides it, and what a
// server accepts from that type is tracked again.
func (c *conn) shadow() bool {
	return c.from != nil && c.from.wrapped.Load() && c.is(connRaw)
}

func (t *connTable) remove(c *conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
	switch closeReason(c.closing.Load()) {
	case closedPolitely:
		t.counts.closedPolitely++
	case closedIdle:
		t.counts.closedIdle++
	}
	if len(t.conns) < fewConns { // looking for the rest takes time
		t.nudge()
	}
}

// fewConns is how few open connections make a drain look at each that goes. Before,
// it looks from time to time.
const fewConns = 64

func (t *connTable) addSocket(c io.Closer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.sockets[c] = struct{}{}
	return true
}

func (t *connTable) removeSocket(c io.Closer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sockets, c)
	t.nudge()
}

// openSockets returns the datagram sockets that the program has not closed.
func (t *connTable) openSockets() []io.Closer {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.sockets))
}

// nudge makes a drain look again.
func (t *connTable) nudge() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// all returns the open connections.
func (t *connTable) all() []*conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*conn, 0, len(t.conns))
	for c := range t.conns {
		if !c.shadow() {
			out = append(out, c)
		}
	}
	return out
}

// empty reports whether no connection is open, and with sockets, no datagram socket.
func (t *connTable) empty(sockets bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		if !c.shadow() {
			return false
		}
	}
	return !sockets || len(t.sockets) == 0
}

// quiet returns the connections that wait for a request, longest idle first.
func (t *connTable) quiet() []*conn {
	out := slices.DeleteFunc(t.all(), func(c *conn) bool { return !c.quiet() })
	slices.SortFunc(out, func(a, b *conn) int { return cmp.Compare(a.idle.Load(), b.idle.Load()) })
	return out
}

// left counts what a drain still waits for.
func (t *connTable) left() left {
	r := left{Sockets: len(t.openSockets())}
	for _, c := range t.all() {
		if closeReason(c.closing.Load()) == closedMoved {
			continue // on its way out of the table
		}
		if c.is(connHijacked) {
			r.Hijacked++
			continue
		}
		r.Connections++
		r.Requests += c.unanswered()
	}
	return r
}

// quietFor returns the connections that have waited for a request for so long, longest idle first.
func (t *connTable) quietFor(d time.Duration) []*conn {
	quiet, since := t.quiet(), t.now()-int64(d)
	return quiet[:sort.Search(len(quiet), func(i int) bool { return quiet[i].idle.Load() > since })]
}

// drain says whether the process drains.
func (t *connTable) drain(begins bool) { t.drains.Store(begins) }

// countServed counts a request of a connection that is not known.
func (t *connTable) countServed() { t.served.part(0).Add(1) }

// changes gets a value when a drain is to look again.
func (t *connTable) changes() <-chan struct{} { return t.changed }

// moveBy has the connections move by m, which ends that itself.
func (t *connTable) moveBy(m *mover) { t.mover.Store(m) }

// movesBy returns the mover; nil when connections stay.
func (t *connTable) movesBy() *mover { return t.mover.Load() }

// moves returns the mover that c is to move by, or nil.
func (t *connTable) moves(c *conn) *mover {
	m := t.mover.Load()
	if m != nil && !m.all.Load() && c.chosen.Load() != m {
		return nil
	}
	return m
}

// close ends the adopting of connections, unless the drain was undone. It reports false then.
func (t *connTable) close(undone <-chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if isClosed(undone) {
		return false
	}
	t.closed = true
	return true
}

// enterLastStretch notes that the deadline is near, unless the drain was undone.
func (t *connTable) enterLastStretch(undone <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isClosed(undone) {
		t.late.Store(true)
	}
}

// inLastStretch reports whether the deadline of the drain is near.
func (t *connTable) inLastStretch() bool { return t.late.Load() }

// reopen is for a drain that was undone.
func (t *connTable) reopen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = false
	t.late.Store(false)
}

// cutAll closes the connections that are left, and with sockets the datagram sockets, and counts
// them as cut, unless the drain was undone: what has come since must not be among them.
func (t *connTable) cutAll(sockets bool, undone <-chan struct{}) left {
	rest, conns, open := t.left(), t.all(), t.openSockets()
	if !sockets {
		rest.Sockets, open = 0, nil
	}
	t.mu.Lock()
	if isClosed(undone) {
		t.mu.Unlock()
		return left{}
	}
	t.counts.cut = t.counts.cut.plus(rest)
	t.mu.Unlock()
	for _, c := range conns {
		c.dismiss(closedCut)
	}
	for _, c := range open {
		_ = c.Close()
	}
	return rest
}
