package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// http2Conn is a connection that speaks HTTP/2 in the clear, with one request at a time.
type http2Conn struct {
	net.Conn
	next uint32 // stream
	buf  []byte // of what the server has said, not read yet
	room [4096]byte
}

// What has to be known of HTTP/2 here (RFC 9113, sections 3.4, 4.1 and 6).
const (
	http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	http2Head    = 9
	http2Data    = 0x0
	http2Header  = 0x1
	http2Reset   = 0x3
	http2Setting = 0x4
	http2Ping    = 0x6
	http2GoAway  = 0x7
	endOrAck     = 0x1
	endHeaders   = 0x4
	getPath      = "\x82\x86\x84\x01\x05bench" // GET http://bench/ in HPACK, which adds nothing to a table
)

// speakHTTP2 begins with HTTP/2 on connections that nobody has used. The server can answer as much as fits into the
// largest window.
func (c conns) speakHTTP2() {
	for i, nc := range c {
		hello := []byte(http2Preface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x08\x00\x00\x00\x00\x00\x7f\x00\x00\x00")
		_, _ = nc.Write(hello) // the first request says it
		c[i] = &http2Conn{Conn: nc, next: 1}
	}
}

// askHTTP2 is ask on such a connection.
func askHTTP2(nc net.Conn, _ []byte) error {
	c, _ := nc.(*http2Conn)
	var frame [http2Head + len(getPath)]byte
	frame[2], frame[3], frame[4] = byte(len(getPath)), http2Header, endOrAck|endHeaders
	binary.BigEndian.PutUint32(frame[5:], c.next)
	copy(frame[http2Head:], getPath)
	stream := c.next
	c.next += 2
	if _, err := c.Write(frame[:]); err != nil {
		return err
	}
	return c.answer(stream)
}

// answer reads an answer to its end.
func (c *http2Conn) answer(stream uint32) error {
	got := 0
	for {
		head, err := c.read(http2Head)
		if err != nil {
			return err
		}
		size, kind, flags, of := int(head[0])<<16|int(head[1])<<8|int(head[2]), head[3], head[4], binary.BigEndian.Uint32(head[5:])
		payload, err := c.read(size)
		if err != nil {
			return err
		}
		switch {
		case kind == http2Setting && flags&endOrAck == 0:
			_, err = io.WriteString(c, "\x00\x00\x00\x04\x01\x00\x00\x00\x00")
		case kind == http2Ping && flags&endOrAck == 0:
			_, err = c.Write(append([]byte("\x00\x00\x08\x06\x01\x00\x00\x00\x00"), payload...))
		case kind == http2GoAway, kind == http2Reset, kind <= http2Header && of != stream:
			err = fmt.Errorf("waiting for the answer on stream %d: a frame of type %d on stream %d", stream, kind, of)
		case kind == http2Data:
			got += size
		}
		if err != nil {
			return err
		}
		if kind <= http2Header && flags&endOrAck != 0 {
			break
		}
	}
	if got != len("hello") {
		return fmt.Errorf("a wrong answer, of %d bytes", got)
	}
	return nil
}

// read returns the next n bytes, which hold until the next call.
func (c *http2Conn) read(n int) ([]byte, error) {
	if n > len(c.room) {
		return nil, io.ErrShortBuffer
	}
	if len(c.buf) < n {
		have := copy(c.room[:], c.buf)
		m, err := io.ReadAtLeast(c, c.room[have:], n-have)
		c.buf = c.room[:have+m]
		if err != nil {
			return nil, err
		}
	}
	b := c.buf[:n]
	c.buf = c.buf[n:]
	return b, nil
}
