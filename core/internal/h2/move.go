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
	// Stays is told once that the connection does not move by itself any more, and why.
	Stays(why string)
}

// Pace is what is done to bring about a moment in which a connection can move. Zero is not at all.
type Pace struct {
	// Hold is how long nothing is read while the server owes nothing but answers. The next requests wait in the kernel, and
	// go along.
	Hold time.Duration
	// Pause is when a client that has had no such moment is told, for a moment, to open no stream.
	Pause time.Duration
	// Patience is when the connection stays.
	Patience time.Duration
}

const (
	// pauseTime is how long a client that was told to open no stream is not to. RFC 9113, section 5.1.2, has that for
	// short durations. Go's client dials another connection if it has a request meanwhile.
	pauseTime = 100 * time.Millisecond
	// pauseRetry is how far apart two tries to say so are, if it can't be said at once.
	pauseRetry = 2 * time.Millisecond
	forGood    = 24 * time.Hour
)

// moving is a connection that is to move.
type moving struct {
	Taker
	rest chan struct{} // a nudge when the connection may be at rest; room for one
	once sync.Once     // for Stays
	pace Pace
	over atomic.Bool // it does not move by this one any more

	held uint32 // the streams up to this one did not end while it was held; the reading goroutine's

	mu     sync.Mutex
	timer  *time.Timer
	paused bool   // the client was told to open no stream
	limit  uint32 // how many it could open before
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
	m.timer = time.AfterFunc(min(cmp.Or(pace.Pause, pace.Patience), pace.Patience), func() { c.press(m, give) })
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
// beginning of a frame. If the server has to be asked something, ahead has that afterwards.
func (c *Conn) awaitMoment() {
	m := c.moving.Load()
	if m == nil || bool(c.block) {
		return
	}
	var until *time.Timer
	for {
		if c.tryMove(m); c.moved || len(c.ahead) > 0 || m.over.Load() || c.asked.Load() || !c.books.onlyAnswersLeft(m.held) || !m.Wants() {
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
	if w.gone || w.filter != nil || !w.out.open() {
		return
	}
	k := &c.books
	k.mu.Lock()
	rests, ask := k.rests()
	var st *State
	if rests {
		if st = k.state(); len(st.Append(nil)) > MaxState {
			k.stick(stuckState)
		}
	}
	stuck := k.stuck
	k.mu.Unlock()
	switch {
	case stuck != "":
		c.giveUp(m)
		m.stays(stuck)
	case ask:
		w.filter = &settled{c: c, said: c.books.said}
		c.ahead = appendFrame(nil, typePing, 0, 0, marker[:]...)
	case !rests:
	case m.Offer(st):
		m.end()
		w.gone, c.moved = true, true
	default:
		c.giveUp(m)
	}
}

// giveUp ends the tries, with the writes' mutex held.
func (c *Conn) giveUp(m *moving) {
	m.end()
	c.moving.CompareAndSwap(m, nil)
	m.mu.Lock()
	defer m.mu.Unlock()
	c.resumeLocked(m)
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

// press is called from time to time while a connection has had no moment to move.
func (c *Conn) press(m *moving, giveUp time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over.Load() || isClosed(c.ended) || c.asked.Load() {
		return
	}
	late, next := !time.Now().Before(giveUp), pauseRetry
	if c.writes.mu.TryLock() {
		if c.writes.gone {
			c.writes.mu.Unlock()
			return
		}
		if late && m.paused {
			c.resumeLocked(m)
		} else if !late && c.mayInsert() {
			next = c.pressLocked(m)
		}
		c.writes.mu.Unlock()
	}
	if late && !m.paused {
		c.moving.CompareAndSwap(m, nil)
		go m.stays(StuckStreams)
		return
	}
	m.timer.Reset(max(min(next, time.Until(giveUp)), pauseRetry))
}

// mayInsert reports whether a frame of ours can go out now. It is called with the mutex of the writes.
func (c *Conn) mayInsert() bool { return c.writes.out.open() && c.writes.filter == nil }

// pressLocked tells the client to open no stream, or that it can again. It returns when something else is to be done.
// It is called between two frames, with the mutexes of the writes and of m.
func (c *Conn) pressLocked(m *moving) time.Duration {
	if m.paused {
		c.resumeLocked(m)
		return forGood
	}
	c.books.mu.Lock()
	busy := c.books.stuck == "" && len(c.books.open) > 0
	m.limit = c.books.server.get(settingStreams)
	c.books.mu.Unlock()
	if !busy || m.pace.Pause == 0 || !m.Wants() {
		return cmp.Or(m.pace.Pause, forGood)
	}
	m.paused = true
	c.sayStreams(0)
	return pauseTime
}

// resumeLocked undoes a pause, if a frame can go out now. It is called with the mutexes of the writes and of m.
func (c *Conn) resumeLocked(m *moving) {
	if m.paused && c.mayInsert() {
		m.paused = false
		c.sayStreams(m.limit)
	}
}

// sayStreams says how many streams the client can open.
func (c *Conn) sayStreams(n uint32) {
	c.books.mu.Lock()
	c.books.unacked = append(c.books.unacked, ofOurs)
	c.books.server.set(settingStreams, n)
	c.books.mu.Unlock()
	defer c.writes.deadline.suspend(c.Conn)()
	// The server notices an error when it writes.
	_, _ = c.Conn.Write(appendFrame(nil, typeSettings, 0, 0, appendSetting(nil, settingStreams, n)...))
}

// lastStream is the highest stream that the client has opened.
func (k *books) lastStream() uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last
}
