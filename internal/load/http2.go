package load

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

// multiplex keeps some streams open on one connection, and dials another one when the server says GOAWAY.
func (c *client) multiplex() {
	for !c.run.stopped() {
		began := time.Now()
		failed := c.open()
		if failed == nil {
			h := &http2Conn{
				c: c, nc: c.conn, streams: map[uint32]*stream{}, next: 1, began: began,
				window: initialWindow, initial: initialWindow, in: make(chan frame, 64), done: make(chan struct{}),
			}
			failed = h.run()
		}
		if failed != nil {
			c.run.wait(redialPause) // it must not spin on a server that ends each connection
		}
	}
}

// http2Conn is one connection.
type http2Conn struct {
	c       *client
	nc      *conn
	streams map[uint32]*stream // that are open
	next    uint32             // id
	leaving bool               // the server has said GOAWAY
	began   time.Time          // the dial
	opens   time.Time          // when the client has thought enough for its next request

	window   int // of the connection, for sending
	initial  int // of a stream
	received int // bytes of answers since they were given back

	in   chan frame // what the server sends; closed at the end of the connection
	err  error      // why; valid then
	done chan struct{}
}

// stream is one request.
type stream struct {
	*attempt
	sent   int
	pieces int // that have been sent
	window int
	answer []byte
}

// run sends requests until the server leaves or the run is stopped, and reads all answers.
func (h *http2Conn) run() *RequestError {
	go h.receive()
	defer func() {
		h.nc.Close()
		close(h.done)
		for range h.in { // so that receive ends
			continue
		}
	}()
	hello := appendFrame([]byte(http2Preface), frameSettings, 0, 0, 0, settingInitialWindow, largeWindow>>24, 0, 0, 0)
	err := h.write(appendNumber(hello, frameWindowUpdate, 0, largeWindow-initialWindow))
	for err == nil {
		if err = h.openAll(); err == nil && len(h.streams) == 0 && (h.leaving || h.c.run.stopped()) {
			return nil
		}
		if err == nil {
			err = h.step()
		}
	}
	// All requests of the connection have failed.
	failed := failure(reasonOf(err, NoAnswer), "%w", cause(err))
	for id := range h.streams {
		h.finish(id, failed)
	}
	return failed
}

// step sends a piece of a request, and handles a frame. Only when there is nothing to send does it wait for one.
func (h *http2Conn) step() error {
	sent, err := h.sendPiece()
	if err != nil {
		return err
	}
	patience, late := time.Until(h.deadline()), true
	if thinks := time.Until(h.opens); len(h.streams) < h.most() && thinks < patience {
		patience, late = thinks, false
	}
	if sent {
		patience, late = 0, false
	}
	stopped := h.c.run.stop
	if len(h.streams) > 0 {
		stopped = nil
	}
	select {
	case f, ok := <-h.in:
		if !ok {
			return h.err
		}
		return h.handle(&f)
	case <-stopped:
		return nil
	case <-time.After(patience):
		if late {
			return errLate
		}
		return nil
	}
}

// most is how many requests there are at once.
func (h *http2Conn) most() int { return max(h.c.cfg.Streams, 1) }

// errLate ends a connection on which an answer did not come in time.
var errLate = fmt.Errorf("no answer in time: %w", os.ErrDeadlineExceeded)

// receive reads frames.
func (h *http2Conn) receive() {
	defer close(h.in)
	for {
		f, err := readFrame(h.nc)
		if err != nil {
			h.err = err
			return
		}
		select {
		case h.in <- f:
		case <-h.done:
			return
		}
	}
}

func (h *http2Conn) write(b []byte) error {
	if err := h.nc.SetWriteDeadline(time.Now().Add(h.c.cfg.Timeout)); err != nil {
		return err
	}
	_, err := h.nc.Write(b)
	return err
}

// deadline is the oldest request's.
func (h *http2Conn) deadline() time.Time {
	first := time.Now()
	for _, s := range h.streams {
		if s.Start.Before(first) {
			first = s.Start
		}
	}
	return first.Add(h.c.cfg.Timeout)
}

// openAll begins as many requests as there have to be at once, unless the server leaves or the run is stopped.
func (h *http2Conn) openAll() error {
	if h.leaving || h.c.run.stopped() || time.Now().Before(h.opens) {
		return nil
	}
	for len(h.streams) < h.most() {
		if err := h.open(); err != nil {
			return err
		}
	}
	return nil
}

// open begins a request.
func (h *http2Conn) open() error {
	sample := Sample{Dialed: h.next == 1, Reused: h.next > 1, Local: h.nc.LocalAddr(), Remote: h.nc.RemoteAddr()}
	if sample.Dialed {
		sample.Start = h.began
	}
	q := newRequest(*h.c.cfg, h.c.id, false)
	id := h.next
	h.next += 2
	h.streams[id] = &stream{attempt: h.c.begin(q, sample), window: h.initial}
	const post, schemeHTTP, schemeHTTPS, pathName, authorityName, lengthName = 0x83, 0x86, 0x87, 4, 1, 28
	block := []byte{post, schemeHTTP}
	if h.c.cfg.TLS != nil {
		block[1] = schemeHTTPS
	}
	block = appendField(block, pathName, h.c.cfg.Path)
	block = appendField(block, authorityName, h.c.cfg.host())
	if !q.cfg.Chunked {
		block = appendField(block, lengthName, strconv.Itoa(len(q.body)))
	}
	return h.write(appendFrame(nil, frameHeaders, flagEndHeaders, id, block...))
}

// sendPiece sends the next piece of any request's body. It reports false if there is none, or the server has to give
// room first.
func (h *http2Conn) sendPiece() (bool, error) {
	for id, s := range h.streams {
		body := s.q.body
		if s.sent == len(body) {
			continue
		}
		end := pieceEnd(len(body), s.pieces+1, s.q.pieces)
		n := end - s.sent
		if n > h.window || n > s.window {
			continue
		}
		flags := byte(0)
		if end == len(body) {
			flags = flagEndStream
		}
		payload := body[s.sent:end]
		h.window -= n
		s.window -= n
		s.sent = end
		s.pieces++
		return true, h.write(appendFrame(nil, frameData, flags, id, payload...))
	}
	return false, nil
}

// handle acts on a frame of the server's.
func (h *http2Conn) handle(f *frame) error {
	switch f.kind {
	case frameSettings:
		if f.flags&flagAck != 0 {
			return nil
		}
		if v, ok := f.setting(settingInitialWindow); ok {
			for _, s := range h.streams {
				s.window += int(v) - h.initial
			}
			h.initial = int(v)
		}
		return h.write(appendFrame(nil, frameSettings, flagAck, 0))
	case framePing:
		if f.flags&flagAck == 0 {
			return h.write(appendFrame(nil, framePing, flagAck, 0, f.payload...))
		}
	case frameWindowUpdate:
		if s := h.streams[f.stream]; s != nil {
			s.window += int(f.number(0))
		} else if f.stream == 0 {
			h.window += int(f.number(0))
		}
	case frameGoAway:
		h.leaving = true
		for id := range h.streams {
			if id > f.number(0)&lastStream {
				h.finish(id, failure(RefusedStream, "GOAWAY, last stream %d, error %d", f.number(0), f.number(1)))
			}
		}
	case frameReset:
		h.finish(f.stream, failure(ResetStream, "RST_STREAM, error %d", f.number(0)))
	case frameData, frameHeaders:
		return h.take(f)
	}
	return nil
}

// take takes a part of an answer.
func (h *http2Conn) take(f *frame) error {
	s := h.streams[f.stream]
	if f.kind == frameData {
		h.received += len(f.payload)
		if s != nil {
			s.answer = append(s.answer, f.payload...)
		}
	}
	if s != nil && f.flags&flagEndStream != 0 {
		failed := s.q.compare(s.answer)
		if s.sent < len(s.q.body) {
			failed = failure(Early, "after %d of %d bytes", s.sent, len(s.q.body))
		}
		h.finish(f.stream, failed)
	}
	if h.received < largeWindow/2 {
		return nil
	}
	n := h.received
	h.received = 0
	return h.write(appendNumber(nil, frameWindowUpdate, 0, uint32(n)))
}

// finish ends a request.
func (h *http2Conn) finish(id uint32, failed *RequestError) {
	s := h.streams[id]
	if s == nil {
		return
	}
	delete(h.streams, id)
	if think := h.c.cfg.Think; think > 0 {
		h.opens = time.Now().Add(think)
	}
	if failed != nil {
		failed = failure(failed.Reason, "stream %d: %w", id, failed.Err)
	}
	h.c.end(s.attempt, failed)
}
