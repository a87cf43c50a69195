package h2

import (
	"net"
	"sync"
	"time"
)

// Leave asks the client to leave and, when it has heard that or wait is over, has the server leave. It
// returns then, or when the connection has ended. The first call counts, any other returns at once.
func (c *Conn) Leave(wait time.Duration) {
	if c.asked.Swap(true) {
		return
	}
	if m := c.moving.Load(); m != nil {
		c.nudge(m) // what is withheld is the server's to see
	}
	c.writes.mu.Lock()
	if c.owes() && c.writes.out.open() {
		_ = c.firstStep() // the server notices when it writes
	}
	c.writes.mu.Unlock()
	select {
	case <-c.first:
	case <-c.ended:
		return
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-c.acked: // who read that tells the server
	case <-c.ended:
	case <-t.C:
		c.reads.wake(c.Conn)
	}
}

// AwaitAnswer returns when the client has answered the PING behind the first GOAWAY, the connection has ended, or wait is
// over.
func (c *Conn) AwaitAnswer(wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-c.acked:
	case <-c.ended:
	case <-t.C:
	}
}

// Left reports whether the client has been asked to leave, or will be as soon as
// the server has written its frame.
func (c *Conn) Left() bool { return c.asked.Load() }

// writeState is what goes to the client.
type writeState struct {
	mu       sync.Mutex // held while something is written
	out      scanner
	answer   answer // that comes before the frames
	payload  []byte // of the server's SETTINGS or WINDOW_UPDATE, what has come
	filter   filter // looks at each frame; nil unless some are to be swallowed
	part     []byte // of a frame that the filter has not seen
	gone     bool   // another process has the connection: nothing more goes out
	other    bool   // it is not HTTP/2
	deadline writeDeadline
}

// filter decides which of a server's frames go out.
type filter interface {
	// sees looks at a frame, and can change it. If it is over, the frames behind it go out.
	sees(frame []byte) (keep, over bool)
}

// owes reports whether the first GOAWAY is to be sent.
func (c *Conn) owes() bool { return c.asked.Load() && !c.writes.gone && !isClosed(c.first) }

// Write passes the server's frames on, and puts ours in between.
func (c *Conn) Write(b []byte) (int, error) {
	c.writes.mu.Lock()
	n, err := c.write(b)
	c.writes.mu.Unlock()
	c.nudgeAtRest()
	return n, err
}

// nudgeAtRest has it looked whether the connection can move, when something has been written: meanwhile it could not.
func (c *Conn) nudgeAtRest() {
	if m := c.moving.Load(); m != nil && c.books.mayRest() {
		c.nudge(m)
	}
}

// write is Write with the mutex held.
func (c *Conn) write(b []byte) (done int, err error) {
	switch {
	case c.writes.gone:
		return len(b), nil
	case c.writes.other:
		return c.Conn.Write(b)
	}
	for c.writes.filter != nil && len(b) > 0 {
		rest, err := c.sift(b)
		if done += len(b) - len(rest); err != nil {
			return done, err
		}
		b = rest
	}
	if c.owes() && !c.writes.answer.comes {
		if at := c.writes.out.gap(b); at >= 0 {
			n, err := c.pass(b[:at])
			if err == nil {
				err = c.firstStep()
			}
			if done += n; err != nil {
				return done, err
			}
			b = b[n:]
		}
	}
	n, err := c.pass(b)
	if done += n; err == nil && c.owes() && c.writes.out.open() {
		err = c.firstStep() // Leave waits for the mutex, or has come since
	}
	if err == nil && c.windows.Load() {
		c.giveWindows()
	}
	return done, err
}

// sift gives the filter whole frames, and passes on what it keeps: together, but for what is written before frames that
// make the filter change the books. It returns what comes behind the last frame that the filter is for.
func (c *Conn) sift(b []byte) (rest []byte, err error) {
	w := &c.writes
	had, filter := len(w.part), w.filter
	w.part = append(w.part, b...)
	from, at := 0, 0 // what is between them is kept, and has not gone out
	for over := false; ; {
		part := w.part[at:]
		whole := len(part) >= headSize && len(part) >= headSize+(*head)(part).size()
		if from < at && (over || !whole || (*head)(part).kind() == typeSettings || (*head)(part).kind() == typePing) {
			_, err = c.pass(w.part[from:at])
			from = at
		}
		if over || err != nil {
			w.part = nil
			if w.filter == filter { // else it has made room for another one
				w.filter = nil
			}
			return b[min(max(at-had, 0), len(b)):], err
		}
		if !whole {
			w.part = append([]byte(nil), part...)
			return nil, nil
		}
		var keep bool
		end := at + headSize + (*head)(part).size()
		if keep, over = filter.sees(w.part[at:end]); !keep {
			_, err = c.pass(w.part[from:at])
			from = end
		}
		at = end
	}
}

// pass writes b, and follows what has gone out of it: after a write that timed out
// net/http goes on with the rest (WriteByteTimeout).
func (c *Conn) pass(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	w := &c.writes
	before, answer := w.out, w.answer
	frames := w.answer.skip(b)
	c.books.mu.Lock()
	w.note(&c.books, frames)
	c.books.mu.Unlock()
	n, err := c.Conn.Write(b)
	if n < len(b) {
		w.out, w.answer = before, answer
		frames = w.answer.skip(b[:n])
		w.out.follow(frames)
		c.books.stickNow(stuckWrite)
	}
	c.streams.server(frames)
	return n, err
}

// note follows b, and notes the frames in it.
func (w *writeState) note(k *books, b []byte) {
	for len(b) > 0 {
		payload := w.out.left > 0
		n := w.out.next(b)
		h := &w.out.head
		looks := h.kind() == typeSettings || h.kind() == typeWindowUpdate
		switch {
		case !payload && w.out.have == 0:
			k.serverHead(h)
			w.payload = w.payload[:0]
		case payload && looks:
			w.payload = append(w.payload, b[:n]...)
		}
		if looks && w.out.have == 0 && w.out.left == 0 {
			k.serverPayload(h, w.payload)
		}
		b = b[n:]
	}
}

// between reports whether nothing of a frame of the server's waits here, and none has to be awaited.
func (w *writeState) between() bool {
	_, always := w.filter.(*leveler)
	return w.out.open() && (w.filter == nil || always && len(w.part) == 0)
}

// firstStep sends the first GOAWAY and the PING behind it. It is called with the mutex
// held, between two frames of the server's.
func (c *Conn) firstStep() error {
	c.onLeave()
	close(c.first)
	defer c.writes.deadline.suspend(c.Conn)()
	_, err := c.Conn.Write(appendFrame(goAway(maxStream, 0), typePing, 0, 0, c.ping[:]...))
	return err
}

// writeDeadline is the server's deadline for writing. It may have been left behind by a
// write that has ended, and a deadline that has passed breaks a TLS connection at
// the next write (crypto/tls, Conn.SetDeadline); so it does not hold for our frames.
type writeDeadline struct {
	mu        sync.Mutex
	t         time.Time
	suspended bool
}

func (d *writeDeadline) set(nc net.Conn, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.t = t
	if d.suspended {
		return nil
	}
	return nc.SetWriteDeadline(t)
}

// suspend lifts the deadline until the function that it returns is called.
func (d *writeDeadline) suspend(nc net.Conn) (resume func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.suspended = true
	_ = nc.SetWriteDeadline(time.Time{})
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.suspended = false
		_ = nc.SetWriteDeadline(d.t)
	}
}
