package h2

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"
)

// Taker moves a connection to another process.
type Taker interface {
	// Wants reports whether the connection is to move now. Any goroutine calls it.
	Wants() bool
	// Offer offers the connection to the other process, and reports whether that has it. If so, nothing more is read
	// from it or written to it here. The goroutine that reads calls it, and nothing is written meanwhile.
	Offer(st *State) bool
	// Ready reports whether it can be offered now. If not, it is asked again when something has been read. The goroutine
	// that reads calls it.
	Ready() bool
	// Stays is told once that the connection does not move by itself any more, and why.
	Stays(why string)
}

// Pace is what is done to bring about a moment in which a connection can move. Zero is not at all.
type Pace struct {
	// Hold is how long nothing is read while the server owes nothing but answers. The next requests wait in the kernel, and
	// go along.
	Hold time.Duration
	// Withhold is when the server of a connection that has had no such moment does not get the client's next streams, for a
	// moment of the length of WithholdFor: see withhold.go. They go along. It is tried again later.
	Withhold, WithholdFor time.Duration
	// Patience is when the connection stays.
	Patience time.Duration
}

// moving is a connection that is to move.
type moving struct {
	Taker
	rest chan struct{} // a nudge when the connection may be at rest; room for one
	once sync.Once     // for Stays
	pace Pace
	over atomic.Bool // it does not move by this one any more

	held uint32 // the streams up to this one did not end while it was held; the reading goroutine's

	withholds atomic.Bool // frames are to be withheld

	mu    sync.Mutex
	timer *time.Timer
	tried uint32 // the streams up to this one were there when frames were withheld last
}

// Move moves the connection by t as soon as no stream is open and nothing is owed. Another call replaces t. It returns at
// once.
func (c *Conn) Move(t Taker, pace Pace) {
	m := &moving{Taker: t, rest: make(chan struct{}, 1), pace: pace}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := c.moving.Swap(m); old != nil {
		old.end()
	}
	give := time.Now().Add(pace.Patience)
	m.timer = time.AfterFunc(min(cmp.Or(pace.Withhold, pace.Patience), pace.Patience), func() { c.press(m, give) })
	c.nudge(m)
}

// Moving reports whether the connection is to move and has not given that up.
func (c *Conn) Moving() bool {
	m := c.moving.Load()
	return m != nil && !m.over.Load() && m.Wants()
}

// nudge has it looked whether the connection can move.
func (c *Conn) nudge(m *moving) {
	select {
	case m.rest <- struct{}{}:
	default:
	}
	c.reads.nudge(c.Conn)
}

// end ends the tries.
func (m *moving) end() {
	m.over.Store(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer.Stop()
}

// stays ends them, and says why.
func (m *moving) stays(why string) {
	m.once.Do(func() {
		m.end()
		m.Stays(why)
	})
}

// awaitMoment moves the connection if it can. While the server owes nothing but answers it waits for these, so that a
// client which always has requests on the way does not keep it. It is called by the goroutine that reads, at the
// beginning of a frame. If the server has to be asked something, ahead has that afterwards. While frames are withheld it
// goes on reading: the older streams may need it. What was read ahead comes first.
func (c *Conn) awaitMoment() {
	m := c.moving.Load()
	if m == nil || bool(c.block) || len(c.read.left) > 0 {
		return
	}
	var until *time.Timer
	for {
		if c.tryMove(m); c.moved || len(c.ahead) > 0 || m.over.Load() || c.asked.Load() ||
			c.withheld.on || !c.books.onlyAnswersLeft(m.held) || !m.Wants() {
			return
		}
		if until == nil {
			until = time.NewTimer(m.pace.Hold)
			defer until.Stop()
		}
		select {
		case <-m.rest:
		case <-until.C:
			m.held = c.books.lastStream()
			return
		case <-c.acked: // it leaves
			return
		case <-c.ended:
			return
		}
	}
}

// tryMove moves the connection if nothing of it is in this process.
func (c *Conn) tryMove(m *moving) {
	w := &c.writes
	if m.over.Load() || c.asked.Load() || !w.mu.TryLock() {
		return // whoever writes looks again
	}
	defer w.mu.Unlock()
	if w.gone || !w.between() {
		return
	}
	k := &c.books
	k.mu.Lock()
	rests, ask := k.rests()
	raised := rests && k.raised()
	var st *State
	if rests && !raised {
		if st = k.state(); len(st.Append(nil)) > MaxState {
			k.stick(stuckState)
		}
		if st.Held = c.withheld.b; k.stuck == "" && len(st.Append(nil)) > MaxState {
			m.stopWithholding()
			c.withheld.release()
			rests = false
		}
	}
	stuck := k.stuck
	k.mu.Unlock()
	switch {
	case stuck != "":
		c.giveUp(m)
		m.stays(stuck)
	case ask:
		if w.filter == nil && c.of != GRPC { // that acknowledges each, and a few PINGs without a stream end a connection
			w.filter = &settled{c: c, said: c.books.said}
			c.ahead = appendFrame(nil, typePing, 0, 0, marker[:]...)
		}
	case !rests:
	case raised:
		c.closeRaised(m)
	case !m.Ready():
	case m.Offer(st):
		m.end()
		w.gone, c.moved = true, true
	default:
		c.giveUp(m)
	}
}

// giveUp ends the tries. The reading goroutine calls it.
func (c *Conn) giveUp(m *moving) {
	m.end()
	c.moving.CompareAndSwap(m, nil)
	c.withheld.release()
}

// marker is the payload of a PING that only the server sees. It answers behind all that it had to say before.
var marker = [pingSize]byte{'g', 'r', 'a', 'c', 'e', 'x', 'h', '2'}

// isMarked reports whether a frame is the answer to it.
func isMarked(frame []byte) bool {
	h := (*head)(frame)
	return h.kind() == typePing && h.has(flagAck) && h.size() == pingSize && [pingSize]byte(frame[headSize:]) == marker
}

// settled is the filter that waits for the answer to the marker: so many SETTINGS have been acknowledged by then.
type settled struct {
	c    *Conn
	said uint64
}

func (s *settled) sees(frame []byte) (keep, over bool) {
	if !isMarked(frame) {
		return true, false
	}
	k := &s.c.books
	k.mu.Lock()
	defer k.mu.Unlock()
	k.acked = max(k.acked, s.said)
	return false, true
}

// mayInsert reports whether a frame of ours can go out now. It is called with the mutex of the writes.
func (c *Conn) mayInsert() bool { return c.writes.between() }

// lasts is why a connection has not come to rest.
func (k *books) lasts() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.open) > 0 {
		return StuckStreams
	}
	return stuckOwes
}

// lastStream is the highest stream that the client has opened.
func (k *books) lastStream() uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}
