package conns

import (
	"bytes"
	"net"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// lot has the parked connections of a table. One goroutine waits for all of them, with a poller, and it is there
// as long as one of them is. Table.mu guards it.
type lot struct {
	conns  map[int]*parked // by descriptor
	poller *poller         // nil when there are none
	clock  *time.Timer     // nil until one of them has to be looked at at some time
	next   int64           // when that is, in the table's clock; never if at no time
	last   int64           // when that was
	told   bool            // that one could not be opened was logged
}

// lotTick is how far apart two looks at the parked connections are: for those that have been idle for too long, and for
// those that could not be opened.
const lotTick = time.Second

// Park takes in a connection that the old process has handed over and that waits for a request, which side serves: the
// socket s, st if it carries HTTP/2, and the state of its TLS if it has that. Then begin looks after the connection, when
// the old process was answered, or closes it. Park returns nil, and leaves s to the caller, if it is too late, or the
// system has no poller: see Adopt.
func (t *Table) Park(s int, side *Side, what wire.Conn, st *h2.State, secret []byte) (begin func(looksAfter bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || !t.openLotLocked() {
		return nil
	}
	p := &parked{table: t, side: side, s: s, idle: t.now() - int64(what.Idle()), unused: what.Unused}
	p.http2, p.secret = st, bytes.Clone(secret)
	t.lot.conns[s] = p
	t.counts.Adopted++
	return p.begin
}

// openLotLocked makes sure that there is a poller, and reports whether.
func (t *Table) openLotLocked() bool {
	if t.lot.poller != nil {
		return true
	}
	po, err := newPoller()
	if err != nil {
		return false
	}
	t.lot.conns, t.lot.poller, t.lot.next = make(map[int]*parked), po, never
	go t.watch(po)
	return true
}

// watch looks at the connections on which something happens.
func (t *Table) watch(po *poller) {
	for {
		ready, err := po.wait()
		if err != nil {
			return
		}
		for _, p := range t.holdAll(po, ready) {
			go p.look()
		}
	}
}

// holdAll takes those that are ready out of the lot.
func (t *Table) holdAll(po *poller, ready []int) (held []*parked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lot.poller != po {
		return nil
	}
	for _, s := range ready {
		if p := t.lot.conns[s]; p != nil && t.holdLocked(p) {
			held = append(held, p)
		}
	}
	return held
}

// holdLocked is hold.
func (t *Table) holdLocked(p *parked) bool {
	if p.state != parkWaits {
		return false
	}
	t.unwatchLocked(p)
	p.state = parkHeld
	return true
}

func (t *Table) unwatchLocked(p *parked) {
	if !p.stuck {
		t.lot.poller.remove(p.s)
	}
	p.stuck = false
}

// parkLocked has a connection wait in the lot. The mover is looked for after that, and the mover is there before it looks
// at the lot.
func (t *Table) parkLocked(p *parked) {
	p.state = parkWaits
	if !p.stuck {
		p.stuck = t.lot.poller.add(p.s) != nil
	}
	if p.stuck {
		t.lookAtLocked(t.now() + int64(lotTick))
	}
	t.lookAtLocked(p.ends())
	p.wakeLocked()
}

// forgetLocked takes a connection out of the table.
func (t *Table) forgetLocked(p *parked) {
	p.state = parkGone
	delete(t.lot.conns, p.s)
	if len(t.lot.conns) == 0 {
		t.lot.poller.close()
		t.lot.poller = nil
		if t.lot.clock != nil {
			t.lot.clock.Stop()
		}
	}
	t.hasLostLocked()
}

// cutLocked takes a connection out of the table, and reports whether its descriptor is to be closed. Whoever holds it
// closes it otherwise.
func (t *Table) cutLocked(p *parked) bool {
	was := p.state
	if was == parkGone {
		return false
	}
	if was == parkWaits {
		t.unwatchLocked(p)
	}
	if was != parkHeld {
		clear(p.secret)
	}
	t.forgetLocked(p)
	return was != parkHeld
}

// cutLotLocked takes all of them out of the table, and returns the descriptors that are to be closed.
func (t *Table) cutLotLocked() (open []int) {
	for _, p := range t.lot.conns {
		if t.cutLocked(p) {
			open = append(open, p.s)
		}
	}
	return open
}

// replace puts a Conn with the transport nc in the place of a connection that is held. It returns nil if that was cut.
func (t *Table) replace(p *parked, nc net.Conn) *Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.state == parkGone {
		return nil
	}
	c := &Conn{Conn: nc, table: t, from: p.side.From}
	if over, ok := nc.(*tls13.Conn); ok {
		c.secure(over)
	}
	c.side.Store(p.side)
	c.chosen.Store(p.chosen)
	c.boundary.unused, c.boundary.refused = p.unused, p.refused
	c.state.Store(int32(Parked))
	c.idle.Store(t.now())
	if p.http2 != nil {
		c.adoptHTTP2(p.side, p.http2)
	}
	t.addLocked(c, c.from)
	t.forgetLocked(p)
	return c
}

// noteStuck is for a connection that is held and could not be opened: it is tried again.
func (t *Table) noteStuck(p *parked, why error) {
	t.mu.Lock()
	p.stuck = true
	told := t.lot.told
	t.lot.told = true
	t.mu.Unlock()
	if !told {
		t.log.Warn("a request on a connection that has moved here waits, because the connection can't be opened; it is tried again every second",
			"remedy", "raise LimitNOFILE= (systemd) or ulimit -n", "error", why)
	}
}

// lookAtLocked has the connections looked at then, or soon after.
func (t *Table) lookAtLocked(at int64) {
	l := &t.lot
	if at == never {
		return
	}
	if at = max(at, l.last+int64(lotTick)); at >= l.next {
		return
	}
	l.next = at
	d := time.Duration(at - t.now())
	if l.clock == nil {
		l.clock = time.AfterFunc(d, t.tend)
		return
	}
	l.clock.Reset(d)
}

// tend closes what has been idle for too long, unless a request has come in time, and tries again what could not be
// opened.
func (t *Table) tend() {
	late, stuck := t.due()
	for _, p := range late {
		if bytes, _ := fd.Arrived(p.s); bytes {
			go p.look()
		} else if p.http2 != nil {
			go p.leave() // net/http says GOAWAY to it, too
		} else {
			p.part(staysOpen)
		}
	}
	for _, p := range stuck {
		if p.hold() && !p.look() {
			return // the others would not succeed, too
		}
	}
}

// due takes those out of the lot that have been idle for too long, and returns those that were stuck, too.
func (t *Table) due() (late, stuck []*parked) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	t.lot.next, t.lot.last = never, now
	for _, p := range t.lot.conns {
		switch {
		case p.state != parkWaits:
		case p.stuck:
			stuck = append(stuck, p)
		case p.ends() <= now:
			t.holdLocked(p)
			late = append(late, p)
		default:
			t.lookAtLocked(p.ends())
		}
	}
	return late, stuck
}
