// Package misdeed has what HTTP/2 clients do wrong, or late, for tests of what becomes of their connections.
package misdeed

import (
	"bytes"
	"encoding/binary"
)

// Types of frames, flags and parameters (RFC 9113, section 6), and GET in HPACK's static table (RFC 7541, appendix A).
const (
	data         = 0x0
	headers      = 0x1
	reset        = 0x3
	settings     = 0x4
	pushPromise  = 0x5
	ping         = 0x6
	goAway       = 0x7
	windowUpdate = 0x8
	continuation = 0x9

	ack        = 0x1
	endStream  = 0x1
	endHeaders = 0x4
	padded     = 0x8
	priority   = 0x20

	headerTableSize = 1
	enablePush      = 2
	initialWindow   = 4
	maxFrameSize    = 5

	headSize = 9
	get      = 0x82
)

func frame(kind, flags byte, stream uint32, payload ...byte) []byte {
	n := len(payload)
	b := []byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// body is the end of a request.
func body(stream uint32, n int) []byte {
	return frame(data, endStream, stream, bytes.Repeat([]byte("b"), n)...)
}

// number is a frame whose payload is a number.
func number(kind byte, stream, n uint32) []byte {
	return frame(kind, 0, stream, binary.BigEndian.AppendUint32(nil, n)...)
}

func setting(id uint16, v uint32) []byte {
	payload := binary.BigEndian.AppendUint16(nil, id)
	return frame(settings, 0, 0, binary.BigEndian.AppendUint32(payload, v)...)
}

// header is a request without a body.
func header(stream uint32, block ...byte) []byte {
	return frame(headers, endHeaders|endStream, stream, block...)
}

// All returns what clients say, by name, on a connection that has had streams 1 and 3. Some of it is permitted. It is
// whole frames, but for the one whose name has "half" in it, and the head of the one that is too large.
func All() map[string][]byte {
	return map[string][]byte{
		"nothing":                     nil,
		"DATA of a closed stream":     body(3, 1000),
		"trailers of a closed stream": header(3, 0x40, 1, 'x', 1, 'y'),
		"a window of a closed stream": number(windowUpdate, 3, 100),
		"a reset of a closed stream":  number(reset, 3, 8),
		"a lower stream":              header(1, get, 0x86, 0x84),
		"an even stream":              header(6, get, 0x86, 0x84),
		"DATA of an idle stream":      body(99, 1),
		"DATA of no stream":           body(0, 1),
		"a window of an idle stream":  number(windowUpdate, 99, 100),
		"a reset of an idle stream":   number(reset, 99, 8),
		"a window that overflows":     number(windowUpdate, 0, 1<<31-1),
		"a window of nothing":         number(windowUpdate, 0, 0),
		"a stream's window overflows": append(header(5, get, 0x86, 0x84), number(windowUpdate, 5, 1<<31-1)...),
		"an index beyond the table":   header(5, get, 0x86, 0x84, 0xc0),
		"index 0":                     header(5, get, 0x86, 0x84, 0x80),
		"a table that is too large":   header(5, 0x3f, 0xe2, 0x1f, get, 0x86, 0x84),
		"a table of 64 KiB":           header(5, 0x3f, 0xe1, 0xff, 0x03, get, 0x86, 0x84),
		"a table of 0":                header(5, 0x20, get, 0x86, 0x84),
		"a size update too late":      header(5, get, 0x86, 0x84, 0x40, 1, 'x', 1, 'y', 0x20),
		"an integer without an end":   header(5, get, 0x86, 0x84, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		"an integer with zeros":       header(5, get, 0x86, 0x84, 0x7f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 1, 'y'),
		"a string without an end":     header(5, get, 0x86, 0x84, 0x40, 9, 'x'),
		"bad Huffman code":            header(5, get, 0x86, 0x84, 0x40, 1, 'x', 0x84, 0xff, 0xff, 0xff, 0xff),
		"SETTINGS: 2^31 of window":    setting(initialWindow, 1<<31),
		"SETTINGS: frames of 1":       setting(maxFrameSize, 1),
		"SETTINGS: push 2":            setting(enablePush, 2),
		"SETTINGS: a table of 0":      append(setting(headerTableSize, 0), header(5, get, 0x86, 0x84)...),
		"SETTINGS: a table of 64 KiB": append(setting(headerTableSize, 1<<16), header(5, get, 0x86, 0x84)...),
		"SETTINGS: nobody's":          setting(77, 1),
		"SETTINGS of a stream":        frame(settings, 0, 1),
		"SETTINGS of 7 bytes":         frame(settings, 0, 0, 0, 1, 0, 0, 0, 0, 0),
		"many SETTINGS":               bytes.Repeat(setting(initialWindow, 1<<16), 100),
		"an ACK of nothing":           frame(settings, ack, 0),
		"an ACK of 6 bytes":           frame(settings, ack, 0, 0, 1, 0, 0, 0, 0),
		"a PING of 7 bytes":           frame(ping, 0, 0, 1, 2, 3, 4, 5, 6, 7),
		"a PING of a stream":          frame(ping, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8),
		"an answer to no PING":        frame(ping, ack, 0, 'g', 'r', 'a', 'c', 'e', 'x', 'h', '2'),
		"an answer of 7 bytes":        frame(ping, ack, 0, 1, 2, 3, 4, 5, 6, 7),
		"many PINGs":                  bytes.Repeat(frame(ping, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8), 100),
		"PUSH_PROMISE":                frame(pushPromise, endHeaders, 1, 0, 0, 0, 2),
		"CONTINUATION alone":          frame(continuation, endHeaders, 1, 0x82),
		"another's CONTINUATION":      append(frame(headers, 0, 5, 0x82), frame(continuation, endHeaders, 7)...),
		"DATA in a header block":      append(frame(headers, 0, 5, 0x82), body(5, 1)...),
		"an empty CONTINUATION":       append(frame(headers, endStream, 5, get, 0x86, 0x84), frame(continuation, endHeaders, 5)...),
		"a frame that is too large":   frame(data, 0, 5, make([]byte, 1<<20+1)...)[:headSize],
		"padding beyond the frame":    frame(headers, padded|endHeaders, 5, 99, 0x82),
		"padding beyond the DATA":     append(frame(headers, endHeaders, 5, 0x83, 0x86, 0x84), frame(data, padded, 5, 99, 'x')...),
		"HEADERS of nothing":          frame(headers, padded|priority|endHeaders, 5),
		"a stream that depends on it": frame(headers, priority|endHeaders|endStream, 5, 0, 0, 0, 5, 1, 0x82, 0x86, 0x84),
		"a type of nobody's":          frame(0xee, 0xff, 5, 1, 2, 3),
		"GOAWAY":                      frame(goAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
		"a short GOAWAY":              frame(goAway, 0, 0, 1),
		"a half frame":                {0, 0, 1, 0},
	}
}
