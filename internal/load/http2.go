package load

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// What the server has chosen is not what the client has to speak.
var (
	errNotNegotiated = errors.New("TLS handshake: the server does not speak HTTP/2")
	errHTTP2         = errors.New("TLS handshake: the server wants HTTP/2")
)

// multiplex keeps some streams open on one connection, and dials another one when the
// server says GOAWAY.
func (c *client) multiplex(stop <-chan struct{}) {
	for !isClosed(stop) {
		began := time.Now()
		if c.open() != nil {
			wait(redialPause, stop)
			continue
		}
		h := &http2Conn{
			c: c, nc: c.conn, streams: map[uint32]*stream{}, next: 1, window: initialWindow, initial: initialWindow, began: began, dialed: true,
			in: make(chan frame, 64), done: make(chan struct{}),
		}
		if h.run(stop) != nil {
			wait(redialPause, stop) // it must not spin on a server that ends each connection
		}
	}
}

// http2Conn is one connection.
type http2Conn struct {
	c       *client
	nc      *conn
	streams map[uint32]*stream // that are open
	order   []*stream          // those that still send, in turn
	next    uint32             // id
	leaving bool               // the server has said GOAWAY
	began   time.Time          // the dial
	dialed  bool               // the next request is the first one

	window   int // of the connection, for sending
	initial  int // of a stream
	received int // bytes of answers since they were given back

	in   chan frame // what the server sends; closed at the end of the connection
	err  error      // why; valid then
	done chan struct{}
}

// stream is one request.
type stream struct {
	id     uint32
	sample Sample
	number int // of the client's requests
	q      *request
	sent   int
	pieces int // that have been sent
	window int
	answer []byte
}

// run sends requests until the server leaves or stop is closed, and reads all answers.
func (h *http2Conn) run(stop <-chan struct{}) error {
	go h.receive()
	defer func() {
		h.nc.Close()
		close(h.done)
		for range h.in { // so that receive ends
			continue
		}
	}()
	hello := appendFrame([]byte(http2Preface), frameSettings, 0, 0, 0, settingInitialWindow, largeWindow>>24, 0, 0, 0)
	if err := h.write(appendNumber(hello, frameWindowUpdate, 0, largeWindow-initialWindow)); err != nil {
		return h.fail(err)
	}
	for {
		stopped := isClosed(stop)
		for !h.leaving && !stopped && len(h.streams) < max(h.c.cfg.Streams, 1) {
			if err := h.open(); err != nil {
				return h.fail(err)
			}
		}
		if len(h.streams) == 0 {
			return nil
		}
		busy, err := h.sendPiece()
		if err != nil {
			return h.fail(err)
		}
		var f frame
		var ok bool
		if busy {
			select {
			case f, ok = <-h.in:
			default:
				continue
			}
		} else {
			late := time.NewTimer(time.Until(h.deadline()))
			select {
			case f, ok = <-h.in:
			case <-late.C:
				late.Stop()
				return h.fail(errLate)
			}
			late.Stop()
		}
		if !ok {
			return h.fail(h.err)
		}
		if err := h.handle(&f); err != nil {
			return h.fail(err)
		}
	}
}

// errLate ends a connection on which an answer did not come in time.
var errLate = errors.New("no answer in time")

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
		if s.sample.Start.Before(first) {
			first = s.sample.Start
		}
	}
	return first.Add(h.c.cfg.Timeout)
}

// open begins a request.
func (h *http2Conn) open() error {
	h.c.count++
	s := &stream{id: h.next, number: h.c.count, window: h.initial, q: newRequest(h.c.cfg, h.c.id, false)}
	s.sample = Sample{Start: time.Now(), Client: h.c.id, Dialed: h.dialed, Reused: !h.dialed, Local: h.nc.LocalAddr()}
	if h.dialed {
		s.sample.Start = h.began
	}
	h.dialed = false
	h.next += 2
	s.q.prepare(s.number)
	h.streams[s.id] = s
	h.order = append(h.order, s)
	const post, schemeHTTP, schemeHTTPS, pathName, authorityName, lengthName = 0x83, 0x86, 0x87, 4, 1, 28
	block := []byte{post, schemeHTTP}
	if h.c.cfg.TLS != nil {
		block[1] = schemeHTTPS
	}
	block = appendField(block, pathName, h.c.cfg.Path)
	block = appendField(block, authorityName, h.c.cfg.host())
	if !s.q.chunked {
		block = appendField(block, lengthName, strconv.Itoa(len(s.q.body)))
	}
	return h.write(appendFrame(nil, frameHeaders, flagEndHeaders, s.id, block...))
}

// sendPiece sends the next piece of a request's body, each request in its turn. It
// reports false if there is none, or the server has to give room first.
func (h *http2Conn) sendPiece() (bool, error) {
	for i, s := range h.order {
		end := pieceEnd(len(s.q.body), s.pieces+1, s.q.pieces)
		n := end - s.sent
		if n > h.window || n > s.window {
			continue
		}
		h.order = append(h.order[:i:i], h.order[i+1:]...)
		flags := byte(0)
		if end == len(s.q.body) {
			flags = flagEndStream
		} else {
			h.order = append(h.order, s)
		}
		payload := s.q.body[s.sent:end]
		h.window -= n
		s.window -= n
		s.sent = end
		s.pieces++
		return true, h.write(appendFrame(nil, frameData, flags, s.id, payload...))
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
				h.finish(id, RefusedStream, fmt.Errorf("GOAWAY, last stream %d, error %d", f.number(0), f.number(1)))
			}
		}
	case frameReset:
		h.finish(f.stream, ResetStream, fmt.Errorf("RST_STREAM, error %d", f.number(0)))
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
		switch {
		case s.sent < len(s.q.body):
			h.finish(f.stream, Early, fmt.Errorf("after %d of %d bytes", s.sent, len(s.q.body)))
		case !bytes.Equal(s.answer, s.q.wanted()):
			h.finish(f.stream, WrongBody, fmt.Errorf("got %d bytes %.80q, want %d bytes %.80q", len(s.answer), s.answer, len(s.q.wanted()), s.q.wanted()))
		default:
			h.finish(f.stream, "", nil)
		}
	}
	if h.received < largeWindow/2 {
		return nil
	}
	n := h.received
	h.received = 0
	return h.write(appendNumber(nil, frameWindowUpdate, 0, uint32(n)))
}

// finish ends a request.
func (h *http2Conn) finish(id uint32, reason Reason, err error) {
	s := h.streams[id]
	if s == nil {
		return
	}
	delete(h.streams, id)
	for i, o := range h.order {
		if o == s {
			h.order = append(h.order[:i:i], h.order[i+1:]...)
			break
		}
	}
	s.sample.Latency = time.Since(s.sample.Start)
	if err != nil {
		s.sample.Err = &RequestError{Reason: reason, Client: h.c.id, Request: s.number, Reused: s.sample.Reused, Err: fmt.Errorf("stream %d: %w", id, err)}
	}
	h.c.add(s.sample)
}

// fail ends all requests of the connection.
func (h *http2Conn) fail(err error) error {
	reason := reasonOf(err, NoAnswer)
	if errors.Is(err, errLate) {
		reason = TimedOut
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		err = op.Err
	}
	for id := range h.streams {
		h.finish(id, reason, err)
	}
	return err
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
