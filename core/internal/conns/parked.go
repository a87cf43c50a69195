package conns

import (
	"fmt"
	"io"
	"math"
	"net"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/tls13"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// parkState is where a parked connection is. It says whose its descriptor is.
type parkState uint8

const (
	parkArrives parkState = iota // the lot's; the old process does not know yet that it is taken. Next: parkWaits, parkGone
	parkWaits                    // the lot's; it waits for a request. Next: parkHeld, parkGone
	parkHeld                     // of whoever has taken it out: see hold. Next: parkWaits, parkGone
	parkGone                     // closed, or of whoever holds it
)

// parked is a connection that came from the old process and waits for a request: a descriptor, and what is known of
// it. There is no goroutine for it, and no net.Conn. When a request comes, a Conn takes its place in the table.
type parked struct {
	table *Table
	side  *Side
	s     int   // its descriptor
	idle  int64 // since when nothing happened on it, in the table's clock

	// These change; guarded by table.mu.
	refused *Mover // that could not move it
	chosen  *Mover // as in Conn
	state   parkState
	leaves  bool // it is to be opened, and its client is asked to leave
	stuck   bool // the poller does not have it: it is looked at from time to time
	parting bool // it was idle, and is closed as soon as its client is told

	unused bool // it has carried no request

	http2  *h2.State // what it is, if it carries HTTP/2
	secret []byte    // the state of its TLS, nil if it has none; of whoever has the descriptor, who clears it
}

// Format keeps the secret out of any text.
func (*parked) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[parked connection]") }

// never is the time of what does not happen, in the table's clock.
const never = math.MaxInt64

// ends is when net/http would end the wait for a request, in the table's clock.
func (p *parked) ends() int64 {
	d := p.side.idleTimeout()
	if p.unused {
		d = p.side.headerTimeout()
	}
	if d <= 0 || int64(d) >= never-max(p.idle, 0) {
		return never
	}
	return p.idle + int64(d)
}

// waits reports whether it is in the lot.
func (p *parked) waits() bool {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.state == parkWaits
}

// idleSince is for Waiting.
func (p *parked) idleSince() int64 { return p.idle }

// moverLocked is Conn.mover.
func (p *parked) moverLocked() *Mover {
	m := p.table.mover.Load()
	if m == p.refused || m != nil && !m.all.Load() && p.chosen != m {
		return nil
	}
	if m != nil && (p.http2 != nil && !m.to.Takes(wire.TakesHTTP2) || !m.takes(p.secret != nil)) {
		return nil
	}
	return m
}

// begin looks after the connection from here on, or closes it.
func (p *parked) begin(looksAfter bool) {
	if !looksAfter {
		p.cut()
		return
	}
	opens := p.opens()
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.state != parkArrives {
		return
	}
	fd.Mark(p.s) // as NoteTaken
	switch {
	case opens:
		p.state = parkHeld
		go p.open()
	default:
		p.table.parkLocked(p)
	}
}

// hold takes a connection that waits out of the lot, so that no request begins on it, and reports whether. The caller
// has it then, until it calls stays, drop or open.
func (p *parked) hold() bool {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	return p.table.holdLocked(p)
}

// stays puts a connection that is held back into the lot, unless it was cut meanwhile.
func (p *parked) stays() {
	p.table.mu.Lock()
	cut := p.state == parkGone
	if !cut {
		p.table.parkLocked(p)
	}
	p.table.mu.Unlock()
	if cut {
		_ = fd.Close(p.s)
		clear(p.secret)
	}
}

// part is drop in the way of TLS: the client is told, and can make that wait.
func (p *parked) part(why closeReason) {
	if p.secret == nil {
		p.drop(why)
		return
	}
	p.table.mu.Lock()
	p.parting = true
	p.table.mu.Unlock()
	go func() {
		if nc, err := p.conn(); err == nil {
			_ = nc.Close()
		}
		p.drop(why)
	}()
}

// conn makes a connection of it, with a descriptor of its own.
func (p *parked) conn() (net.Conn, error) {
	nc, err := p.table.netConn(p.s)
	if err != nil || p.secret == nil {
		return nc, err
	}
	over, err := tls13.Adopt(nc, p.secret)
	if err != nil {
		_ = nc.Close()
		return nil, err
	}
	return over.Taken(), nil
}

// drop closes a connection that is held.
func (p *parked) drop(why closeReason) {
	p.table.mu.Lock()
	if p.state != parkGone {
		p.table.forgetLocked(p)
		if why == closedIdle {
			p.table.counts.ClosedIdle++
		}
	}
	p.table.mu.Unlock()
	_ = fd.Close(p.s)
	clear(p.secret)
}

// cut closes a connection, whoever holds it.
func (p *parked) cut() {
	p.table.mu.Lock()
	ours := p.table.cutLocked(p)
	p.table.mu.Unlock()
	if ours {
		_ = fd.Close(p.s)
		clear(p.secret)
	}
}

// look finds out why a connection that is held was taken out of the lot. It reports false if it could not be opened.
func (p *parked) look() bool {
	switch bytes, ended := fd.Arrived(p.s); {
	case bytes, p.opens():
		return p.open()
	case ended:
		p.drop(staysOpen)
	default:
		p.stays()
	}
	return true
}

// open makes a Conn of a connection that is held, and gives it to its server, because a request has come. It reports
// false if that was not possible, and the connection stays.
func (p *parked) open() bool {
	t := p.table
	nc, err := p.conn()
	switch {
	case err != nil:
		t.noteStuck(p, err)
		p.stays()
		return false
	case nc.RemoteAddr() == nil:
		// Reset on its way here. A ConnContext or ConnState need not know that such a connection has no address.
		_ = nc.Close()
		p.drop(staysOpen)
		return true
	}
	c := t.replace(p, nc)
	_ = fd.Close(p.s) // now that the lot does not know it: the next connection can get its number
	clear(p.secret)
	if c == nil {
		_ = nc.Close() // with TLS it can wait for the client
		return true
	}
	c.followAdopted(p.leaves)
	go c.giveTo(p.side)
	return true
}

// DismissIdle is Conn.DismissIdle.
func (p *parked) DismissIdle() {
	if !p.hold() {
		return
	}
	if bytes, ended := fd.Arrived(p.s); bytes || ended || p.http2 != nil && len(p.http2.Held) > 0 {
		p.stays() // and is looked at
		return
	}
	if p.http2 != nil {
		p.leave()
		return
	}
	p.part(closedIdle)
}

// invite and recent are Conn's. It has no goroutine that could offer it, and has not answered anything here.
func (p *parked) invite()      {}
func (p *parked) recent() bool { return false }

// wake makes the mover take the connection out of the lot, if it waits there.
func (p *parked) wake() {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	if p.state == parkWaits {
		p.wakeLocked()
	}
}

// wakeLocked is wake for one that waits.
func (p *parked) wakeLocked() {
	if m := p.moverLocked(); m != nil {
		m.lot = append(m.lot, p)
		m.nudge()
	}
}

// description is Conn.description.
func (p *parked) description() wire.Conn {
	what := wire.Conn{
		Listener:   &wire.Listener{Network: p.side.From.Network, Address: p.side.From.Address},
		IdleMillis: time.Duration(p.table.now() - p.idle).Milliseconds(),
		Unused:     p.unused,
	}
	if p.http2 != nil {
		what = withHTTP2(what, p.http2)
	}
	what.TLS = len(p.secret)
	return what
}

// settle is the answer to the offer of a connection, which is held: nil if it has moved, or may have.
func (p *parked) settle(by *Mover, err error) {
	if err == nil {
		p.drop(closedMoved)
		return
	}
	p.table.mu.Lock()
	p.refused = by
	p.table.mu.Unlock()
	if p.http2 != nil && refused(err) {
		p.table.noteStayedHTTP2(&p.table.counts.StayedHTTP2.Refused, err.Error())
		go p.leave()
		return
	}
	p.stays()
}
