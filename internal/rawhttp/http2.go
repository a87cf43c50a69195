package rawhttp

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// Types of frames and three flags (RFC 9113, section 6).
const (
	frameData     = 0x0
	frameHeaders  = 0x1
	frameSettings = 0x4
	framePing     = 0x6
	frameGoAway   = 0x7
	frameWindow   = 0x8
	noFrame       = 0xff // the end of the connection

	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
)

// HTTP2 is an HTTP/2 client that does nothing by itself.
type HTTP2 struct {
	net.Conn
	t testing.TB
}

// frame is a frame that the server has sent.
type frame struct {
	kind, flags byte
	stream      uint32
	payload     string
}

// DialHTTP2 connects, says the preface, and waits for the server's SETTINGS, which it acknowledges. A config of nil is no TLS.
func DialHTTP2(t testing.TB, addr string, config *tls.Config) *HTTP2 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must.Do(t, err)
	return GreetHTTP2(t, nc, config)
}

// GreetHTTP2 is DialHTTP2 on a connection that is there.
func GreetHTTP2(t testing.TB, nc net.Conn, config *tls.Config) *HTTP2 {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	must.Do(t, nc.SetDeadline(time.Now().Add(proctest.Patience)))
	if config != nil {
		config = config.Clone()
		config.NextProtos, config.ServerName = []string{"h2"}, "127.0.0.1"
		tc := tls.Client(nc, config)
		must.Do(t, tc.Handshake())
		if p := tc.ConnectionState().NegotiatedProtocol; p != "h2" {
			t.Fatalf("the server speaks %q", p)
		}
		nc = tc
	}
	c := &HTTP2{nc, t}
	_, err := io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	must.Do(t, err)
	c.send(frameSettings, 0, 0, "")
	if f := c.next(); f.kind != frameSettings {
		t.Fatalf("the server begins with %+v", f)
	}
	c.send(frameSettings, flagAck, 0, "")
	return c
}

func (c *HTTP2) send(kind, flags byte, stream uint32, payload string) {
	c.t.Helper()
	f := binary.BigEndian.AppendUint32([]byte{0, 0, byte(len(payload)), kind, flags}, stream)
	_, err := c.Write(append(f, payload...))
	must.Do(c.t, err)
}

// hpackPost is POST / of http://x in HPACK, whose static table has all but the host.
const hpackPost = "\x83\x86\x84\x41\x01x"

// Open begins a request that has a body to come.
func (c *HTTP2) Open(stream uint32) { c.send(frameHeaders, flagEndHeaders, stream, hpackPost) }

// Ask sends a request that has no body.
func (c *HTTP2) Ask(stream uint32) {
	c.send(frameHeaders, flagEndHeaders|flagEndStream, stream, hpackPost)
}

// Send sends a part of the body of a request, in a frame.
func (c *HTTP2) Send(stream uint32, part string) { c.send(frameData, 0, stream, part) }

// End sends the rest of the body of a request.
func (c *HTTP2) End(stream uint32, body string) { c.send(frameData, flagEndStream, stream, body) }

// Pong answers a PING.
func (c *HTTP2) Pong(ping string) { c.send(framePing, flagAck, 0, ping) }

func (c *HTTP2) next() frame {
	c.t.Helper()
	var head [9]byte
	_, err := io.ReadFull(c, head[:])
	if err == io.EOF {
		return frame{kind: noFrame}
	}
	must.Do(c.t, err)
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(c, payload)
	must.Do(c.t, err)
	return frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), string(payload)}
}

// await reads frames up to the next one of this kind, and returns it. A GOAWAY, or the end,
// that comes before is not expected.
func (c *HTTP2) await(kind byte) frame {
	c.t.Helper()
	for {
		switch f := c.next(); {
		case f.kind == kind && (kind != framePing || f.flags&flagAck == 0):
			return f
		case f.kind == frameGoAway || f.kind == noFrame:
			c.t.Fatalf("waiting for a frame of type %d: %+v", kind, f)
		}
	}
}

// acknowledge answers SETTINGS, as a client has to (RFC 9113, section 6.5.3), and reports whether f is that.
func (c *HTTP2) acknowledge(f frame) bool {
	c.t.Helper()
	if f.kind != frameSettings {
		return false
	}
	if f.flags&flagAck == 0 {
		c.send(frameSettings, flagAck, 0, "")
	}
	return true
}

// Answered reads an answer to its end. The server may say how much more it reads on the stream.
func (c *HTTP2) Answered(stream uint32) {
	c.t.Helper()
	for {
		switch f := c.next(); {
		case c.acknowledge(f):
		case f.stream == stream && f.kind <= frameHeaders && f.flags&flagEndStream != 0:
			return
		case f.kind == frameWindow:
		case f.stream == stream && f.kind > frameHeaders, f.kind == frameGoAway, f.kind == noFrame:
			c.t.Fatalf("waiting for the answer on stream %d: %+v", stream, f)
		}
	}
}

// Answers reads the answers on these streams to their ends, in any order, and returns what they say.
func (c *HTTP2) Answers(streams ...uint32) (answers map[uint32]string) {
	c.t.Helper()
	answers = map[uint32]string{}
	for len(streams) > 0 {
		f := c.next()
		if c.acknowledge(f) {
			continue
		}
		if f.kind == frameGoAway || f.kind == noFrame {
			c.t.Fatalf("waiting for answers on %v: %+v", streams, f)
		}
		if f.kind == frameData {
			answers[f.stream] += f.payload
		}
		if f.kind <= frameHeaders && f.flags&flagEndStream != 0 {
			streams = slices.DeleteFunc(streams, func(id uint32) bool { return id == f.stream })
		}
	}
	return answers
}

// last returns the last stream that a GOAWAY names. Its error code must be 0.
func (c *HTTP2) last(f frame) uint32 {
	c.t.Helper()
	last, code := binary.BigEndian.Uint32([]byte(f.payload)), binary.BigEndian.Uint32([]byte(f.payload[4:]))
	if code != 0 {
		c.t.Errorf("GOAWAY with error %d", code)
	}
	return last
}

// ToldToLeave reads the first GOAWAY and the PING behind it, whose payload it returns.
func (c *HTTP2) ToldToLeave() (ping string) {
	c.t.Helper()
	c.ToldTheLast(1<<31 - 1) // RFC 9113, section 6.8
	return c.await(framePing).payload
}

// ToldTheLast reads a GOAWAY, which has to name this stream.
func (c *HTTP2) ToldTheLast(stream uint32) {
	c.t.Helper()
	if last := c.last(c.await(frameGoAway)); last != stream {
		c.t.Fatalf("the last stream is %d, want %d", last, stream)
	}
}

// Leaves reads until the last GOAWAY has come, and the streams' answers to their ends, in
// any order. It returns the last stream, and what the answers say.
func (c *HTTP2) Leaves(streams ...uint32) (last uint32, answers map[uint32]string) {
	c.t.Helper()
	answers = map[uint32]string{}
	for told := false; !told || len(streams) > 0; {
		switch f := c.next(); f.kind {
		case frameGoAway:
			told, last = true, c.last(f)
		case frameData, frameHeaders:
			if f.kind == frameData {
				answers[f.stream] += f.payload
			}
			if f.flags&flagEndStream != 0 {
				streams = slices.DeleteFunc(streams, func(id uint32) bool { return id == f.stream })
			}
		case noFrame:
			c.t.Fatalf("the connection has ended: told to leave %v, without answers %v", told, streams)
		}
	}
	return last, answers
}
