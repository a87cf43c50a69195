package h2

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"
)

// A client that is always in the middle of a body, of its own or of the server's, leaves no moment in which no stream is
// open. So the frames of the streams that it opens are withheld from the server for a while, and those of the older ones
// pass. When these have ended the connection rests, and what was withheld goes along in the State, as if it had waited in
// the socket.
//
// That can't be much. So a client that uploads is told an INITIAL_WINDOW_SIZE of 0 before: of its next streams no DATA
// comes. Those that are open get by WINDOW_UPDATE what that has taken from them (RFC 9113, section 6.9.2), and so does
// each later one that the server here gets after all. The server of the next process says its own size. In this process
// it stays, because nothing takes a window back that was given to a stream, until no stream is open.
//
// A server whose estimate raises the window of streams, grpc-go's, is not the one that the server of the next process will
// be: that begins with the first size and enforces it. So the windows of such a connection are closed, too, before it
// moves. If the server raises them while they are closed, the client is told that for each open stream (see leveler).
//
// MAX_CONCURRENT_STREAMS of 0 would have the same end, but Go's client dials another connection then.

const (
	// withholdMost is how much of them, in bytes. A State has room for that and for what net/http's table has by default.
	withholdMost = MaxState - 12<<10
	// insertRetry is how far apart two tries to say something to the client are, if it can't be said at once.
	insertRetry = 2 * time.Millisecond
)

// withheld are frames of the client's that its server has not read. All of it is the reading goroutine's.
type withheld struct {
	on    bool   // more is withheld; else what there is comes next
	above uint32 // streams that were open, or are closed: their frames pass
	left  int    // bytes to come of the last frame's payload
	b     []byte
}

// replays reports whether the server has not read all yet that was withheld.
func (w *withheld) replays() bool { return !w.on && len(w.b) > 0 }

// release lets all pass again.
func (w *withheld) release() { w.on, w.left = false, 0 }

// followWithholding begins and ends the withholding, at the beginning of a frame.
func (c *Conn) followWithholding() {
	w, m := &c.withheld, c.moving.Load()
	wanted := m != nil && m.withholds.Load() && !m.over.Load() && !c.asked.Load()
	switch {
	case w.on && !wanted:
		w.release()
	case !w.on && wanted && len(w.b) == 0 && !bool(c.block):
		w.above, w.on = c.books.withholdsAbove()
	}
}

// withhold takes the frame whose header has been read, and reports whether. If that is no more possible, the server gets
// what was withheld, and this frame behind that.
func (c *Conn) withhold() bool {
	w := &c.withheld
	if !w.on {
		return false
	}
	later, size := c.head.stream() > w.above, c.head.size()
	// The header table is one for all streams, so trailers have their place behind the headers that were withheld. Behind
	// GOAWAY a server reads no new stream.
	ordered := c.head.kind() == typeHeaders || c.head.kind() == typeGoAway
	if !later && (!ordered || len(w.b) == 0) {
		return false
	}
	w.b = append(w.b, c.head[:]...)
	if w.left = size; !later || len(w.b)+size > withholdMost {
		c.moving.Load().stopWithholding()
		w.release()
	}
	return true
}

// readMore reads more of the payload of a frame that is withheld, or else of the next frame's header.
func (c *Conn) readMore() error {
	if c.withheld.left > 0 {
		return c.readWithheld()
	}
	n, err := c.in(c.head[c.have:])
	c.have += n
	return err
}

// endWithholding has the server read what was withheld before it hears of the end of the connection. It reports false if
// there is nothing.
func (c *Conn) endWithholding() bool {
	w := &c.withheld
	if !w.on || len(w.b) == 0 {
		return false
	}
	c.moving.Load().stopWithholding()
	w.b = append(w.b, c.head[:c.have]...)
	c.have = 0
	w.release()
	return true
}

// readWithheld reads what comes of a frame that is withheld.
func (c *Conn) readWithheld() error {
	w := &c.withheld
	at := len(w.b)
	w.b = slices.Grow(w.b, w.left)[:at+w.left]
	n, err := c.in(w.b[at:])
	w.b = w.b[:at+n]
	w.left -= n
	return err
}

// stopWithholding ends it before its time.
func (m *moving) stopWithholding() {
	if m != nil {
		m.withholds.Store(false)
	}
}

// withholdsAbove returns the highest stream whose frames pass, and whether others can be withheld now: not before the
// client has acknowledged that its next streams have no window.
func (k *books) withholdsAbove() (uint32, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last, !slices.Contains(k.unacked, ofOurs)
}

// press is called from time to time while a connection has had no moment to move.
func (c *Conn) press(m *moving, giveUp time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over.Load() || isClosed(c.ended) || c.asked.Load() {
		return
	}
	if !time.Now().Before(giveUp) {
		c.moving.CompareAndSwap(m, nil)
		c.reads.nudge(c.Conn)
		go m.stays(c.books.lasts())
		return
	}
	next := 4 * m.pace.WithholdFor
	if m.withholds.Swap(false) {
		c.reads.nudge(c.Conn)
	} else if m.pace.Withhold > 0 {
		next = c.pressLocked(m)
	}
	m.timer.Reset(max(min(next, time.Until(giveUp)), insertRetry))
}

// pressLocked begins to withhold frames, with the mutex of m. It returns when something else is to be done.
func (c *Conn) pressLocked(m *moving) time.Duration {
	last, uploads, can := c.books.canWithhold(m.tried)
	if !can || !m.Wants() {
		return m.pace.Withhold
	}
	if !uploads {
		m.withholds.Store(true)
	} else if !c.closeWindows(m) {
		c.nudgeAtRest()
		return insertRetry
	}
	m.tried = last
	c.reads.nudge(c.Conn)
	return m.pace.WithholdFor
}

// canWithhold reports whether the streams that are open are worth the wait: one that was there at the try before, up to
// the given stream, does not end soon. It reports whether the client has something to upload, too.
func (k *books) canWithhold(tried uint32) (last uint32, uploads, can bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	can = k.stuck == "" && len(k.open) > 0
	for id, by := range k.open {
		can = can && id > tried
		uploads = uploads || by&endedByClient == 0
	}
	return k.last, uploads, can
}

// closeWindows tells the client that its next streams have no window, and withholds their frames when that is
// acknowledged. It reports false if that can't be said now.
func (c *Conn) closeWindows(m *moving) bool {
	w := &c.writes
	if !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	if w.gone || !c.mayInsert() {
		return false
	}
	return c.sayClosed(m)
}

// closeRaised closes the windows of a connection that rests, because its server has made them larger than the one of the
// next process begins with. That is called with the mutex of the writes, between two frames.
func (c *Conn) closeRaised(m *moving) {
	if !m.Wants() || !c.sayClosed(m) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pace.WithholdFor == 0 || m.over.Load() {
		m.withholds.Store(false)
		return
	}
	m.timer.Reset(m.pace.WithholdFor)
}

// sayClosed is closeWindows with the mutex of the writes, between two frames.
func (c *Conn) sayClosed(m *moving) bool {
	frames, can := c.books.closeWindows(&m.withholds)
	if len(frames) > 0 {
		c.windows.Store(true)
		if c.of == GRPC && c.writes.filter == nil {
			c.writes.filter = &leveler{c, 0}
		}
		c.insert(frames)
	}
	return can
}

// closeWindows returns what the client is told for that; nothing if it knows. Then withholds is true.
func (k *books) closeWindows(withholds *atomic.Bool) (frames []byte, can bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	window := k.server.get(settingWindow)
	if k.window > 0 || window == 0 {
		withholds.Store(true)
		return nil, true
	}
	if len(k.unacked) > 0 {
		return nil, false
	}
	withholds.Store(true) // what follows is not acknowledged yet
	frames = k.sayWindow(0)
	for id, by := range k.open {
		if by&endedByClient == 0 {
			frames = appendWindow(frames, id, window)
		}
	}
	k.window = window
	return frames, true
}

// keepClosed has SETTINGS of the server's say that the windows are closed, if they are. It returns what the client is told
// of the streams that are open, if these SETTINGS make their windows larger. A server that makes them smaller is none here.
func (k *books) keepClosed(payload []byte) (frames []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.window == 0 {
		return nil
	}
	for p := payload; len(p) >= settingBytes; p = p[settingBytes:] {
		if binary.BigEndian.Uint16(p) != settingWindow {
			continue
		}
		window := max(binary.BigEndian.Uint32(p[2:]), k.window)
		binary.BigEndian.PutUint32(p[2:], 0)
		for id, by := range k.open {
			if more := window - k.window; more > 0 && by&endedByClient == 0 && !slices.Contains(k.owed, id) {
				frames = appendWindow(frames, id, more)
			}
		}
		k.window = window
	}
	return frames
}

// sayWindow returns SETTINGS of which the server does not know.
func (k *books) sayWindow(n uint32) []byte {
	k.unacked = append(k.unacked, ofOurs)
	k.server.set(settingWindow, n)
	return appendFrame(nil, typeSettings, 0, 0, appendSetting(nil, settingWindow, n)...)
}

func appendWindow(b []byte, stream, n uint32) []byte {
	return appendFrame(b, typeWindowUpdate, 0, stream, binary.BigEndian.AppendUint32(nil, n)...)
}

// insert says something of ours, with the mutex of the writes, between two frames.
func (c *Conn) insert(frames []byte) {
	defer c.writes.deadline.suspend(c.Conn)()
	_, _ = c.Conn.Write(frames) // the server notices an error when it writes
}

// giveWindowsSoon is giveWindows for who can wait.
func (c *Conn) giveWindowsSoon() {
	c.writes.mu.Lock()
	c.giveWindows()
	c.writes.mu.Unlock()
	c.nudgeAtRest()
}

// giveWindows says what closeWindows has left to be said, if that can be now. It is called with the mutex of the writes.
func (c *Conn) giveWindows() {
	if c.writes.gone || !c.mayInsert() {
		return // whoever writes calls it again
	}
	frames, closed := c.books.owedWindows(c.moving.Load() == nil)
	c.windows.Store(closed)
	if len(frames) > 0 {
		c.insert(frames)
	}
}

// owedWindows returns the windows of streams that the server has got. If windows need not be closed any more, and no
// stream is open, they are as they were. It reports whether they are closed.
func (k *books) owedWindows(reopens bool) (frames []byte, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.window == 0 {
		return nil, false
	}
	for _, id := range k.owed {
		if _, is := k.open[id]; is {
			frames = appendWindow(frames, id, k.window)
		}
	}
	k.owed = nil
	if reopens && len(k.open) == 0 && len(k.unacked) == 0 && k.stuck == "" {
		frames = append(frames, k.sayWindow(k.window)...)
		k.window = 0
	}
	return frames, k.window > 0
}
