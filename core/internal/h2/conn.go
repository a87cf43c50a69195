package h2

import (
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// Conn is a connection that a server of net/http's serves, or grpc-go's: see ServedBy. It passes frames on as they
// are. As long as the connection is not to move it reads ahead, and grpc-go's server has many frames at once. Else it reads no
// more than the server has asked for but a frame's header, and buffers nothing else.
//
// Reading and writing have a mutex each, and never wait for each other: a server must go on
// reading while a client that writes does not read.
type Conn struct {
	net.Conn // below, in the clear

	of      Transport      // serves it
	onLeave func()         // called before the first GOAWAY goes out
	ping    [pingSize]byte // of the PING behind it
	asked   atomic.Bool    // Leave was called
	first   chan struct{}  // closed when the first GOAWAY is out
	acked   chan struct{}  // closed when the client has answered the PING
	ended   chan struct{}  // closed by End
	end     sync.Once

	// Of the goroutine that reads.
	preface  int      // bytes of it to come
	other    bool     // something else has come
	head     head     // of the frame that comes
	have     int      // bytes of head
	block    block    // of the client's
	left     int      // bytes of the payload to come
	collects bool     // the payload is looked at
	payload  []byte   // what has come of it
	ahead    []byte   // for the server, before them
	told     bool     // the server has had the GOAWAY
	moved    bool     // another process has the connection
	history  *history // that the server is told before the client's frames; nil when it has been
	withheld withheld
	read     readAhead
	closed   uint32 // the streams up to this one were another process's
	failed   error  // that the server gets when it has read what came before

	books   books
	reads   readState
	writes  writeState
	streams *streams // nil: they are not counted

	moving  atomic.Pointer[moving] // nil unless the connection is to move
	windows atomic.Bool            // what the client may send on its next streams is closed, or has to be said
	debt    atomic.Int64           // what the answer of the history has to say; -1: nobody is to give that answer
	hidden  atomic.Bool            // the request of the history is being answered
}

// New returns a connection over nc, from which preface bytes of the Preface are still to
// come; limit bounds the wait for them, 0 leaves that to the server. onLeave is called
// once, before the client is asked to leave.
func New(nc net.Conn, preface int, limit time.Duration, onLeave func()) *Conn {
	c := &Conn{
		Conn: nc, preface: preface, onLeave: onLeave,
		first: make(chan struct{}), acked: make(chan struct{}), ended: make(chan struct{}),
		books: newBooks(),
	}
	c.debt.Store(-1)
	c.read.off = isOverTLS(nc)
	_, _ = rand.Read(c.ping[:])
	if preface > 0 && limit > 0 {
		_ = nc.SetReadDeadline(time.Now().Add(limit))
	}
	return c
}

// ServedBy says what serves the connection, if that is not net/http. It is called before anything is read or written.
func (c *Conn) ServedBy(of Transport) { c.of = of }

// Begun reports whether the client has said SETTINGS.
func (c *Conn) Begun() bool {
	c.books.mu.Lock()
	defer c.books.mu.Unlock()
	return c.books.greeted
}

// End ends a Leave that is under way: the connection is closed. It may be called more than once.
func (c *Conn) End() { c.end.Do(func() { close(c.ended) }) }

// Close closes the connection.
func (c *Conn) Close() error {
	c.End()
	return c.Conn.Close()
}

// Read gives the server the client's bytes and, between two frames of them when it is time
// for that, the GOAWAY at which it leaves.
func (c *Conn) Read(b []byte) (int, error) {
	if c.other {
		return c.Conn.Read(b)
	}
	if c.preface > 0 {
		n, err := c.Conn.Read(b[:min(len(b), c.preface)])
		c.other = !c.checks(b[:n])
		if c.preface -= n; c.preface == 0 && err == nil {
			err = c.reads.restore(c.Conn)
		}
		return n, err
	}
	for len(c.ahead) == 0 {
		if c.failed != nil {
			return 0, c.failed
		}
		if c.batches(b) {
			if n, err := c.readBatch(b); n > 0 || err != nil {
				return n, err
			}
			continue
		}
		if c.left > 0 {
			break
		}
		if err := c.nextBytes(); err != nil {
			return 0, err
		}
	}
	if len(c.ahead) > 0 {
		n := copy(b, c.ahead)
		c.ahead = c.ahead[n:]
		return n, nil
	}
	n, err := c.in(b[:min(len(b), c.left)])
	c.collect(b[:n])
	c.left -= n
	return n, err
}

// nextBytes finds what the server is to read next.
func (c *Conn) nextBytes() error {
	if c.moved {
		return io.EOF
	}
	if c.history != nil {
		return c.tell()
	}
	return c.nextFrame()
}

// nextFrame reads the header of the client's next frame for the server, swallows the
// answers to our own frames, and puts the GOAWAY in between.
func (c *Conn) nextFrame() error {
	if ok, err := c.readHead(); err != nil || !ok {
		return err
	}
	c.have = 0
	if c.withhold() {
		return nil
	}
	if c.closed > 0 && c.head.kind() == typeHeaders && c.head.stream() <= c.closed {
		return errLate
	}
	c.block.follow(&c.head)
	c.streams.client(&c.head)
	if c.books.clientHead(&c.head) {
		go c.giveWindowsSoon() // a server must go on reading while its client does not
	}
	switch {
	case c.head.kind() == typePing && c.head.size() == pingSize:
		return c.nextPing()
	case c.head.kind() == typeSettings && c.head.has(flagAck) && c.head.size() == 0 && !c.books.acknowledges():
		return nil
	}
	c.ahead = c.head[:]
	c.begin()
	return nil
}

// nextPing is nextFrame for a PING.
func (c *Conn) nextPing() error {
	answer := c.head.has(flagAck)
	if !answer {
		c.books.pinged(false)
		c.ahead, c.left = c.head[:], pingSize
		return nil
	}
	var payload [pingSize]byte
	if _, err := io.ReadFull(incoming{c}, payload[:]); err != nil {
		return err
	}
	if payload != c.ping {
		c.books.pinged(true)
		c.ahead = slices.Concat(c.head[:], payload[:]) // net/http's own, SendPingTimeout
		return nil
	}
	// All that the client had sent before it read our GOAWAY has been read.
	if !isClosed(c.acked) {
		c.reads.say()
		close(c.acked)
	}
	return nil
}

// collect looks at the payload when all of it is here, before the server has its last byte. b comes next of it.
func (c *Conn) collect(b []byte) {
	if !c.collects {
		return
	}
	whole := len(b) == c.left
	if len(c.payload) > 0 || !whole {
		c.payload = append(c.payload, b...)
		b = c.payload
	}
	if whole {
		c.books.clientPayload(&c.head, b)
		c.collects, c.payload = false, nil
	}
}

// readHead reads a frame's header. It reports false if the server is to read something else before.
func (c *Conn) readHead() (bool, error) {
	for c.have < headSize {
		if c.have == 0 {
			c.followWithholding()
			if c.awaitMoment(); c.moved {
				return false, io.EOF
			} else if len(c.ahead) > 0 {
				return false, nil
			}
			switch c.reads.begin(!c.told && !bool(c.block) && !c.withheld.replays()) {
			case readsGoAway:
				c.told = true
				c.ahead = goAway(0, 0)
				return false, nil
			case readsAgain:
				continue
			}
		}
		err := c.readMore()
		woken := c.reads.stop(c.Conn)
		if err != nil && !(woken && errors.Is(err, os.ErrDeadlineExceeded)) && !c.endWithholding() {
			return false, err
		}
	}
	return true, nil
}

// SetReadDeadline is the server's.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.reads.set(c.Conn, t) }

// SetWriteDeadline is the server's.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.writes.deadline.set(c.Conn, t) }

// SetDeadline is the server's.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// readState is the wait for a frame, which Leave and Move may have to end: by a deadline in the
// past, and afterwards the deadline is the server's again.
type readState struct {
	mu       sync.Mutex
	due      bool // the server is to be told
	again    bool // the connection may be able to move
	waits    bool // for a frame of which nothing has come
	woken    bool
	deadline time.Time // the server's
}

// reading is what follows when no byte of the next frame has been read.
type reading int

const (
	readsFrame  reading = iota
	readsGoAway         // the server is to be told
	readsAgain          // it has to be looked again whether the connection can move
)

// begin notes that a Read for a frame's header begins, unless something else is to be done. The server can be told if
// that is possible.
func (r *readState) begin(possible bool) reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.due && possible {
		return readsGoAway
	}
	if r.again {
		r.again = false
		return readsAgain
	}
	r.waits = true
	return readsFrame
}

// stop notes that it has ended, and reports whether say has ended it.
func (r *readState) stop(nc net.Conn) (woken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	woken = r.woken
	r.waits, r.woken = false, false
	if woken {
		_ = nc.SetReadDeadline(r.deadline)
	}
	return woken
}

// say has the server told at the next frame.
func (r *readState) say() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = true
}

// wake has the server told now, if it waits for a frame.
func (r *readState) wake(nc net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = true
	r.wakeLocked(nc)
}

// nudge has it looked again whether the connection can move.
func (r *readState) nudge(nc net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.again = true
	r.wakeLocked(nc)
}

func (r *readState) wakeLocked(nc net.Conn) {
	if r.waits && !r.woken {
		r.woken = true
		_ = nc.SetReadDeadline(longAgo)
	}
}

func (r *readState) set(nc net.Conn, t time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.deadline = t
	if r.woken {
		return nil // stop sets it
	}
	return nc.SetReadDeadline(t)
}

// restore sets the server's deadline.
func (r *readState) restore(nc net.Conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return nc.SetReadDeadline(r.deadline)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
