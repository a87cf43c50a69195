package load

import (
	"encoding/binary"
	"io"
)

// What the client has to know of WebSockets (RFC 6455, sections 4.1, 5.2 and 7.4).
const (
	webSocketUpgrade = "websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

	opBinary     = 2
	opClose      = 8
	finalFrame   = 0x80
	maskedFrame  = 0x80
	longFrame    = 126 // the length in 2 bytes follows
	hugeFrame    = 127 // in 8
	mask         = "gxgx"
	codeGoing    = 1001
	codeRestarts = 1012 // IANA, WebSocket Close Code Number Registry
)

// appendMessage appends a message of the client's in one frame.
func appendMessage(b, body []byte) []byte {
	b = append(b, finalFrame|opBinary)
	switch n := len(body); {
	case n < longFrame:
		b = append(b, maskedFrame|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, maskedFrame|longFrame), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, maskedFrame|hugeFrame), uint64(n))
	}
	b = append(b, mask...)
	for i, c := range body {
		b = append(b, c^mask[i%len(mask)])
	}
	return b
}

// receiveMessage reads a message, in one frame, that has to be the request's body.
func (c *conn) receiveMessage(q *request) *RequestError {
	var head [8]byte
	read := func(b []byte) *RequestError {
		if n, err := io.ReadFull(c.r, b); err != nil {
			return failure(reasonOf(err, Truncated), "%d bytes of %d: %w", n, len(b), cause(err))
		}
		return nil
	}
	if failed := read(head[:2]); failed != nil {
		return failed
	}
	first, size := head[0], uint64(head[1])
	wide := map[uint64]int{longFrame: 2, hugeFrame: 8}[size]
	if wide > 0 {
		clear(head[:])
		if failed := read(head[8-wide:]); failed != nil {
			return failed
		}
		size = binary.BigEndian.Uint64(head[:])
	}
	if size > uint64(len(q.buf)) {
		return failure(WrongBody, "a frame of %d bytes, %#x; want %d", size, first, len(q.body))
	}
	got := q.buf[:size]
	if failed := read(got); failed != nil {
		return failed
	}
	switch {
	case first == finalFrame|opClose && size >= 2:
		code := binary.BigEndian.Uint16(got)
		if code == codeGoing || code == codeRestarts {
			return failure(Left, "close frame, code %d", code)
		}
		return failure(Broken, "close frame, code %d", code)
	case first != finalFrame|opBinary:
		return failure(Malformed, "a frame that begins with %#x", first)
	}
	return q.compare(got)
}
