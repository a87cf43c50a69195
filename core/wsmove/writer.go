package wsmove

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxAnswer is how long the head of the answer to the handshake may be.
const maxAnswer = 16 << 10

var (
	errLongAnswer = errors.New("wsmove: the answer to the handshake does not end")
	errBrokenOff  = errors.New("wsmove: a message was broken off before")
)

// writer is what Write keeps.
type writer struct {
	mu     sync.Mutex // held by Write
	phase  phase
	head   []byte // of the answer to the handshake, as far as it has come
	frames follower
	unsent []byte // goes before everything else
	broken error  // a frame is out in part, and no more of it will be

	writes atomic.Uint64 // how many have begun, and how many have ended: odd in one
	began  atomic.Int64  // when the last one has, on sinceStart
}

// phase is how far the library is with the handshake.
type phase int

const (
	shaking phase = iota // it writes the answer
	open                 // what it writes are frames
	foreign              // it has refused, and what it writes is none of ours
	refused              // the client is told to reconnect: the handler does not take the connection over
)

// Write sends what the library writes, as long as c is not sealed.
func (c *conn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.phase != shaking {
		return c.write(b)
	}
	n, rest, err := c.answer(b)
	if err != nil || len(rest) == 0 {
		return n, err
	}
	m, err := c.write(rest)
	return n + m, err
}

// write is Write after the handshake. The caller holds out.mu, as for everything here.
func (c *conn) write(b []byte) (done int, err error) {
	switch c.out.phase {
	case foreign:
		return c.Conn.Write(b)
	case refused:
		return 0, errTooLate
	}
	c.out.began.Store(int64(sinceStart()))
	c.out.writes.Add(1)
	defer c.out.writes.Add(1)
	c.hurry()
	if err := c.flush(); err != nil {
		return 0, err
	}
	for done < len(b) {
		n, err := c.Conn.Write(b[done:])
		c.out.frames.follow(b[done : done+n])
		done += n
		if err == nil {
			continue
		}
		if !c.deadlines.writeIsOurs(err) {
			c.breaksOff(err)
			return done, err
		}
		c.deadlines.restoreWrite()
		if c.leavesUnsent(b[done:]) {
			break
		}
		c.hurry()
	}
	c.trySeal()
	return len(b), nil
}

// flush sends what the old process could not. It returns an error unless all is out.
func (c *conn) flush() error {
	for {
		switch {
		case c.isSealed():
			return c.moving()
		case c.out.broken != nil:
			return c.out.broken
		case len(c.out.unsent) == 0:
			return nil
		}
		n, err := c.Conn.Write(c.out.unsent)
		c.out.unsent = c.out.unsent[n:]
		switch {
		case err == nil:
		case !c.deadlines.writeIsOurs(err):
			c.out.broken = errBrokenOff
			c.trySeal()
			return err
		default:
			c.deadlines.restoreWrite()
			c.trySeal()
			c.hurry()
		}
	}
}

// moving returns the error for a write to a sealed connection when the others that move together are sealed, too. A hub
// that hears of it sooner could tell them that somebody has left.
func (c *conn) moving() error {
	if a := c.attempt.Load(); a != nil {
		select {
		case <-a.ended:
		case <-c.closed:
		}
	}
	return ErrMoving
}

// sendUnsent is flush in a new process.
func (c *conn) sendUnsent() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	_ = c.flush() // the next Write has the error
}

// breaksOff notes that a write has failed. At its beginning nothing is lost, and the program may try again.
func (c *conn) breaksOff(err error) {
	if !c.out.frames.atFrame() {
		c.out.broken = errors.Join(errBrokenOff, err)
	}
	c.trySeal()
}

// leavesUnsent keeps what is left of a message that the client has no room for, if the rest of it is at hand and short
// enough to go along.
func (c *conn) leavesUnsent(rest []byte) bool {
	then := c.out.frames
	then.follow(rest)
	if len(rest) > maxUnsent || !then.atMessage() || then.closed {
		return false
	}
	c.out.unsent, c.out.frames = bytes.Clone(rest), then
	return true
}

// seal has writing stop between two messages. A write for which the client has no room is interrupted, unless that
// would be the end of the connection (TLS).
func (c *conn) seal(a *attempt, interrupt bool) {
	a.interrupts.Store(interrupt && !c.secure)
	a.seals.Store(true) // before the lock is to be had: a writer that is interrupted looks for it
	c.hurry()
	if c.out.mu.TryLock() {
		defer c.out.mu.Unlock()
		c.trySeal()
		return
	}
	go func() {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		c.trySeal()
	}()
}

// hurry interrupts a write that hangs for long, if c is to be sealed.
func (c *conn) hurry() {
	a := c.attempt.Load()
	if a == nil || !a.interrupts.Load() {
		return
	}
	time.AfterFunc(hurryAfter, func() {
		switch {
		case isClosed(a.sealed) || isClosed(a.undone):
		case c.out.mu.TryLock(): // nobody writes
			c.out.mu.Unlock()
		default:
			c.deadlines.wakeWrite(a)
		}
	})
}

// trySeal seals c if it is to be sealed, and no message is half written. With a close frame out, or a frame broken off,
// c does not move.
func (c *conn) trySeal() {
	a := c.attempt.Load()
	if a == nil || !a.seals.Load() || isClosed(a.sealed) {
		return
	}
	switch {
	case c.out.phase != open || c.out.broken != nil || c.out.frames.closed:
	case !c.out.frames.atMessage():
		return // later
	default:
		c.sealUnlessClosed()
	}
	close(a.sealed)
	c.deadlines.restoreWrite()
}

var started = time.Now()

// sinceStart is a clock that nobody sets.
func sinceStart() time.Duration { return time.Since(started) }

// hangs reports whether a write lasts long.
func (out *writer) hangs() bool {
	return out.writes.Load()%2 == 1 && sinceStart()-time.Duration(out.began.Load()) > hungAfter
}

// end returns what has to be sent before a close frame; nil if there is no place for one.
func (out *writer) end() []byte {
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.broken != nil || !out.frames.atFrame() || out.frames.closed {
		return nil
	}
	return append(make([]byte, 0, len(out.unsent)+4), out.unsent...)
}

// answer takes the answer to the handshake. In the new process the client has it already. It returns how many bytes
// of b belong to it, and the rest.
func (c *conn) answer(b []byte) (n int, rest []byte, err error) {
	before := len(c.out.head)
	c.out.head = append(c.out.head, b...)
	end := bytes.Index(c.out.head, []byte("\r\n\r\n"))
	switch {
	case end >= 0:
		n = end + 4 - before
	case len(c.out.head) > maxAnswer:
		return 0, nil, errLongAnswer
	default:
		n = len(b)
	}
	if !c.s.moved {
		if n, err := c.Conn.Write(b[:n]); err != nil {
			return n, nil, err
		}
	}
	if end < 0 {
		return n, nil, nil
	}
	res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.out.head[:end+4])), nil)
	if err != nil {
		return n, nil, err
	}
	_ = res.Body.Close()
	c.out.head = nil
	if err := c.answered(answerOf(res.StatusCode, res.Header)); err != nil {
		return n, nil, err
	}
	return n, b[n:], nil
}
