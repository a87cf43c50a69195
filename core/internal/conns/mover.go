package conns

import (
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// refusal is why the new process, which goes on, does not take a connection.
type refusal string

func (r refusal) Error() string { return string(r) }

// Why a connection stays.
var (
	ErrNoRoom error = refusal("the new process has no descriptors left for it")
	// errWentBack is for an upgrade that was rolled back.
	errWentBack = errors.New("the new process is not current any more")
)

// Taker is the new process, to which connections are offered.
type Taker interface {
	Room() int              // how many it takes; 0: none
	Takes(kind string) bool // whether it takes those of a kind that not every version knows
	Exchange(offer []byte, files []int, quit <-chan struct{}, final func() bool) (wire.Frame, error)
	Interrupt()
	SayMoved(moved uint64)
}

// Mover is rung 1 of the drain: it hands the connections of this generation to the next one. A connection
// offers itself, by the goroutine that reads from it, and nobody reads from it until there is an answer. Those that are
// parked in the lot are taken out of it, and nobody has them until then.
type Mover struct {
	to       Taker
	table    *Table
	log      *slog.Logger
	offers   chan *offer
	all      atomic.Bool   // every connection is to move, not only the chosen ones
	everyone atomic.Bool   // each may offer itself, not only those that were invited: see round
	final    atomic.Bool   // the new process goes on by itself
	begin    chan struct{} // closed when the new process is current
	widened  chan struct{} // closed when all is set later than that
	retired  chan struct{} // closed when the upgrade is rolled back
	quit     chan struct{} // closed to give up
	done     chan struct{} // closed when no more is moved
	why      error         // valid once done

	once   sync.Once
	within time.Duration // by when all have been woken, after it has begun to wake them
	share  float64       // how many to choose
	room   int           // how many more the new process takes
	moved  uint64
	held   *offer        // did not go into the last batch
	woken  chan struct{} // a nudge when lot gets a connection; room for one
	lot    []*parked     // woken and not offered yet, unless they have left the lot; guarded by table.mu
	full   bool          // that there is no room was logged
	unsure bool          // an offer had no answer
	busy   bool          // the new process has answered requests since the last offer
}

// NewMover returns nil if the new process takes no connections. A share of 1 is all of them, less
// leaves the rest for Widen. They are woken within that time, however busy the processes are.
func NewMover(to Taker, table *Table, share float64, final bool, within time.Duration, log *slog.Logger) *Mover {
	room := to.Room()
	if room == 0 {
		return nil
	}
	m := &Mover{
		to: to, table: table, log: log, share: share, room: room, within: within,
		offers: make(chan *offer), woken: make(chan struct{}, 1), begin: make(chan struct{}), widened: make(chan struct{}),
		retired: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{}),
	}
	m.all.Store(share >= 1)
	m.final.Store(final)
	go m.run()
	return m
}

// Start lets the connections move. Until then those that offer themselves wait.
func (m *Mover) Start() { close(m.begin) }

// Widen makes all the others move, too: the new process goes on by itself.
func (m *Mover) Widen() {
	m.final.Store(true)
	if !m.all.Swap(true) {
		close(m.widened)
	}
}

// Retire ends the moving of an upgrade that is rolled back. What was offered has its answer when the new
// process gives it, or is no more: the mover's goroutine waits for that.
func (m *Mover) Retire() {
	m.table.mover.CompareAndSwap(m, nil)
	close(m.retired)
}

func (m *Mover) run() {
	defer close(m.done)
	<-m.begin
	round, widened := newRound(m.choose(), m.rest), m.widened
	pace := m.newPace()
	for m.why == nil {
		// Not all at once: they would keep this goroutine from its work, and the processors from the requests.
		if !pace.Rests() {
			round.ask(pace.Batch())
		}
		if o := m.next(widened, round.left() > 0, pace.Due()); o != nil {
			began := time.Now()
			m.why = m.hand(m.collect(o))
			pace.Worked(time.Since(began), round.left(), m.busy)
		}
		if widened != nil && isClosed(widened) {
			round, widened = newRound(m.table.sleepers(), m.rest), nil
			pace = m.newPace()
		}
	}
	m.table.mover.CompareAndSwap(m, nil) // answers say Connection: close from here on
	if m.held != nil {
		m.held.settle(m.why)
	}
	if m.final.Load() && !errors.Is(m.why, peer.ErrQuit) && !errors.Is(m.why, errWentBack) {
		m.log.Warn("no more connections are moved; their clients are asked to reconnect", "error", m.why)
	}
}

func (m *Mover) newPace() *Pace { return NewPace(m.table.Served, time.Now().Add(m.within)) }

// takes reports whether the new process takes connections with TLS, or without. A nil mover is none.
func (m *Mover) takes(overTLS bool) bool { return m == nil || !overTLS || m.to.Takes(wire.TakesTLS) }

// welcomes reports whether c may offer itself now.
func (m *Mover) welcomes(c *Conn) bool { return m.everyone.Load() || c.invited.Load() == m }

// rest ends the invitations if all are to move, and returns those that are here still and may wait for a request that
// does not come. A connection waits before it looks for an invitation, and this looks at them after it has ended that.
func (m *Mover) rest() []sleeper {
	if !m.all.Load() {
		return nil
	}
	m.everyone.Store(true)
	m.table.noteStayingTLS()
	return m.table.sleepers()
}

// sleepers returns all open connections.
func (t *Table) sleepers() []sleeper {
	conns, parked := t.open()
	return asSleepers(conns, parked)
}

func asSleepers(conns []*Conn, parked []*parked) []sleeper {
	all := make([]sleeper, 0, len(conns)+len(parked))
	for _, c := range conns {
		all = append(all, c)
	}
	for _, p := range parked {
		all = append(all, p)
	}
	return all
}

// choose returns the connections that are to move now: all, or a share of those that
// are kept between requests, and one at the least if there is one. HTTP/2 is not among a share: it carries many
// requests, and would have to come back if the upgrade is rolled back.
func (m *Mover) choose() []sleeper {
	if m.all.Load() {
		return m.table.sleepers()
	}
	m.table.mu.Lock()
	defer m.table.mu.Unlock()
	conns, lot := m.table.allLocked(), slices.Collect(maps.Values(m.table.lot.conns))
	conns = slices.DeleteFunc(conns, func(c *Conn) bool { return !c.CanMove() || c.http2.Load() || c.Is(Hijacked) })
	lot = slices.DeleteFunc(lot, func(p *parked) bool { return p.http2 != nil })
	conns, lot = conns[:m.shareOf(len(conns))], lot[:m.shareOf(len(lot))] // they have no order
	for _, c := range conns {
		c.chosen.Store(m)
	}
	for _, p := range lot {
		p.chosen = m
	}
	return asSleepers(conns, lot)
}

func (m *Mover) shareOf(n int) int { return int(math.Ceil(m.share * float64(n))) }

// next waits for an offer, and if there are more connections to wake, until these are due, or for those of before.
func (m *Mover) next(widened <-chan struct{}, more bool, due time.Time) (o *offer) {
	if isClosed(m.retired) { // whatever waits to be offered stays
		m.why = errWentBack
		return nil
	}
	if m.held != nil {
		o, m.held = m.held, nil
		return o
	}
	var soon <-chan time.Time
	if more {
		soon = time.After(max(time.Until(due), time.Millisecond))
	}
	select {
	case o = <-m.offers:
	case <-m.woken:
		o = m.fromLot()
	case <-m.quit:
		m.why = peer.ErrQuit
	case <-m.retired:
		m.why = errWentBack
	case <-widened:
	case <-soon:
	}
	return o
}

// collect adds the offers that wait to the first one, as many as go into a frame.
func (m *Mover) collect(first *offer) []*offer {
	batch, size := []*offer{first}, first.size()
	for len(batch) < min(fd.MaxFiles, m.room) {
		o := m.another()
		if o == nil {
			return batch
		}
		if size += o.size(); size > maxBatch {
			m.held = o
			return batch
		}
		batch = append(batch, o)
	}
	return batch
}

// another returns one more offer, without waiting; nil if there is none.
func (m *Mover) another() *offer {
	select {
	case o := <-m.offers:
		return o
	default:
		return m.fromLot()
	}
}

// nudge says that some in the lot are woken.
func (m *Mover) nudge() {
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

// fromLot takes a connection that was woken out of the lot, and offers it; nil if there is none.
func (m *Mover) fromLot() *offer {
	m.table.mu.Lock()
	defer m.table.mu.Unlock()
	for len(m.lot) > 0 {
		p := m.lot[0]
		m.lot = m.lot[1:]
		if p.moverLocked() == m && m.table.holdLocked(p) {
			if len(m.lot) > 0 {
				m.nudge()
			}
			return &offer{Conn: p.description(), s: p.s, parked: p, by: m, secret: p.secret}
		}
	}
	m.lot = nil
	return nil
}

// stop ends it. An offer that has no answer then may have been taken or not. Until
// the moving begins the handover socket is for commit alone.
func (m *Mover) stop() {
	<-m.begin
	m.once.Do(func() {
		close(m.quit)
		m.to.Interrupt()
	})
	<-m.done
}

// Settle is the end of a drain: the new process hears how many have moved.
func (m *Mover) Settle() {
	m.stop()
	if !m.unsure && errors.Is(m.why, peer.ErrQuit) {
		m.to.SayMoved(m.moved)
	}
}
