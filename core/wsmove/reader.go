package wsmove

import (
	"bytes"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// reader is what Read keeps.
type reader struct {
	mu      sync.Mutex // held by Read
	used    bool       // Read was called
	frames  follower
	pending []byte // comes before what is on the socket
	given   []byte // what the library has of a message that is not complete
	long    bool   // that is more than maxUnread, and not kept
}

// Read gives the library what has come. When the library calls it, it has dealt with all complete messages that it was
// given: a bufio.Reader reads when it is empty, or holds a part of a frame's head.
func (c *conn) Read(p []byte) (int, error) {
	c.arrive()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.gate != nil && !c.in.used {
		began := time.Now()
		c.gate.wait(c.closed)
		c.deadlines.putOffRead(time.Since(began))
	}
	c.in.used = true
	for {
		if a := c.attempt.Load(); a != nil && c.in.mayStop() {
			if err := c.park(a); err != nil {
				return 0, err
			}
		}
		if len(c.in.pending) > 0 {
			n := copy(p, c.in.pending)
			c.in.pending = c.in.pending[n:]
			c.in.follow(p[:n])
			return n, nil
		}
		n, err := c.Conn.Read(p)
		c.in.follow(p[:n])
		switch {
		case n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
			return n, nil
		case n > 0 || !c.deadlines.readIsOurs(err):
			return n, err
		case !c.in.mayStop():
			c.deadlines.restoreRead() // the rest of the message is read under the program's deadline
		}
	}
}

// park waits until it is known what becomes of the connection. Then it returns an error, or the connection stays.
func (c *conn) park(a *attempt) error {
	began := time.Now()
	a.pause()
	select {
	case <-a.ended:
		return ErrMoving
	default:
	}
	select {
	case <-a.ended:
		return ErrMoving
	case <-a.undone:
		c.deadlines.putOffRead(time.Since(began))
		return nil
	case <-c.closed:
		return net.ErrClosed
	}
}

// mayStop reports whether reading can stop here. It can't in a message that is too long to go along, nor after a close
// frame, which the library answers.
func (in *reader) mayStop() bool { return !in.long && !in.frames.closed }

// follow takes what the library is given.
func (in *reader) follow(b []byte) {
	if end := in.frames.follow(b); end >= 0 {
		in.given, in.long = nil, false
		b = b[end:]
	}
	switch {
	case in.long || len(b) == 0:
	case len(in.given)+len(b) > maxUnread:
		in.given, in.long = nil, true
	default:
		in.given = append(in.given, b...)
	}
}

// unread returns what the library has, or would be given, of messages that it has not returned.
func (in *reader) unread() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	return bytes.Join([][]byte{in.given, in.pending}, nil)
}
