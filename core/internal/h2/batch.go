package h2

import (
	"errors"
	"os"
)

// grpc-go reads through a buffer, and asks for more when that is used up. So it can have many frames at once: whenever it
// asks, it has nothing left of them. One at a time would take it three to four times as many system calls.

// batches reports whether the server is to have what there is. If the connection is to move, it is to have one frame at
// a time: what comes behind that can move.
func (c *Conn) batches(b []byte) bool {
	if c.of != GRPC || c.history != nil || c.moved || c.withheld.on || len(b) < headSize {
		return false
	}
	return c.free()
}

// readBatch reads what there is, and follows the frames in it. It returns no byte, and no error, if it is to be looked
// again what is to be done. Of a frame's header the server gets nothing before there is all of it.
func (c *Conn) readBatch(b []byte) (int, error) {
	between := c.have == 0 && c.left == 0
	if between && c.reads.begin(false) == readsAgain {
		return 0, nil
	}
	had := copy(b, c.head[:c.have])
	n, err := c.in(b[had:])
	if between && c.reads.stop(c.Conn) && errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	c.have = 0
	kept, late := c.followBatch(b[:had+n])
	if late != nil {
		c.failed, err = late, nil
		if kept == 0 {
			err = late
		}
	}
	return kept, err
}

// followBatch follows frames, takes out what the server is not to have, and returns how much is left.
func (c *Conn) followBatch(b []byte) (kept int, err error) {
	for at := 0; at < len(b); {
		if c.left > 0 {
			n := min(c.left, len(b)-at)
			c.collect(b[at : at+n])
			c.left -= n
			if kept < at { // something was taken out
				copy(b[kept:], b[at:at+n])
			}
			kept, at = kept+n, at+n
			continue
		}
		n := copy(c.head[:], b[at:])
		if n < headSize {
			c.have = n
			return kept, nil
		}
		at += n
		ours, err := c.noteHead()
		if err != nil {
			return kept, err
		}
		if !ours {
			kept += copy(b[kept:], c.head[:])
		}
	}
	return kept, nil
}

// noteHead notes the frame that begins, of which the server is to have all, unless it is ours.
func (c *Conn) noteHead() (ours bool, err error) {
	h := &c.head
	if c.closed > 0 && h.kind() == typeHeaders && h.stream() <= c.closed {
		return false, errLate
	}
	c.block.follow(h)
	c.streams.client(h)
	if c.books.clientHead(h) {
		go c.giveWindowsSoon() // as in nextFrame
	}
	switch {
	case h.kind() == typePing && h.size() == pingSize:
		c.books.pinged(h.has(flagAck))
	case h.kind() == typeSettings && h.has(flagAck) && h.size() == 0 && !c.books.acknowledges():
		return true, nil
	}
	c.begin()
	return false, nil
}

// begin begins with the payload of a frame.
func (c *Conn) begin() {
	c.left = c.head.size()
	if c.collects = collects(&c.head); c.collects && c.left > maxBlock {
		c.collects = false
		c.books.stickNow(stuckBlock)
	}
	c.collect(nil)
}
