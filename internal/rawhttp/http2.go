package rawhttp

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/proctest"
)

// Types of frames and two flags (RFC 9113, section 6).
const (
	FrameData     = 0x0
	FrameHeaders  = 0x1
	FrameSettings = 0x4
	FramePing     = 0x6
	FrameGoAway   = 0x7

	FlagAck        = 0x1
	FlagEndStream  = 0x1
	FlagEndHeaders = 0x4
)

// lastOfAll is the last stream of a first GOAWAY (RFC 9113, section 6.8).
const lastOfAll = 1<<31 - 1

// HTTP2 is an HTTP/2 client that does nothing by itself.
type HTTP2 struct {
	t    testing.TB
	Conn net.Conn
}

// Frame is a frame that the server has sent.
type Frame struct {
	kind, flags byte
	stream      uint32
	payload     string
}

// DialHTTP2 connects, says the preface and waits for the server's SETTINGS. A config of nil is no TLS.
func DialHTTP2(t testing.TB, addr string, config *tls.Config) *HTTP2 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	return GreetHTTP2(t, nc, config)
}

// GreetHTTP2 is DialHTTP2 on a connection that is there.
func GreetHTTP2(t testing.TB, nc net.Conn, config *tls.Config) *HTTP2 {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(proctest.Patience)))
	if config != nil {
		config = config.Clone()
		config.NextProtos, config.ServerName = []string{"h2"}, "127.0.0.1"
		tc := tls.Client(nc, config)
		must(t, tc.Handshake())
		if p := tc.ConnectionState().NegotiatedProtocol; p != "h2" {
			t.Fatalf("the server speaks %q", p)
		}
		nc = tc
	}
	c := &HTTP2{t: t, Conn: nc}
	_, err := io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	must(t, err)
	c.Send(FrameSettings, 0, 0, "")
	if f := c.next(); f.kind != FrameSettings {
		t.Fatalf("the server begins with %+v", f)
	}
	return c
}

// Send writes a frame.
func (c *HTTP2) Send(kind, flags byte, stream uint32, payload string) {
	c.t.Helper()
	f := binary.BigEndian.AppendUint32([]byte{0, 0, byte(len(payload)), kind, flags}, stream)
	_, err := c.Conn.Write(append(f, payload...))
	must(c.t, err)
}

// Open begins a request: POST /, with a body to come, or none. HPACK's static table has all but
// the host.
func (c *HTTP2) Open(stream uint32, flags byte) {
	c.t.Helper()
	c.Send(FrameHeaders, FlagEndHeaders|flags, stream, "\x83\x86\x84\x41\x01x")
}

// next reads a frame. One of no kind is the end of the connection.
func (c *HTTP2) next() Frame {
	c.t.Helper()
	var head [9]byte
	_, err := io.ReadFull(c.Conn, head[:])
	if err == io.EOF {
		return Frame{kind: 0xff}
	}
	must(c.t, err)
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(c.Conn, payload)
	must(c.t, err)
	return Frame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), string(payload)}
}

// Await reads frames up to the next one of this kind, and returns it. A GOAWAY, or the end,
// that comes before is not expected.
func (c *HTTP2) Await(kind byte) Frame {
	c.t.Helper()
	for {
		switch f := c.next(); {
		case f.kind == kind && (kind != FramePing || f.flags&FlagAck == 0):
			return f
		case f.kind == FrameGoAway || f.kind == 0xff:
			c.t.Fatalf("waiting for a frame of type %d: %+v", kind, f)
		}
	}
}

// Answered reads an answer to its end.
func (c *HTTP2) Answered(stream uint32) {
	c.t.Helper()
	for {
		switch f := c.next(); {
		case f.stream == stream && f.kind <= FrameHeaders && f.flags&FlagEndStream != 0:
			return
		case f.stream == stream && f.kind > FrameHeaders, f.kind == FrameGoAway, f.kind == 0xff:
			c.t.Fatalf("waiting for the answer on stream %d: %+v", stream, f)
		}
	}
}

// Last returns the last stream that a GOAWAY names. Its error code must be 0.
func (c *HTTP2) Last(f Frame) uint32 {
	c.t.Helper()
	if code := binary.BigEndian.Uint32([]byte(f.payload[4:])); code != 0 {
		c.t.Errorf("GOAWAY with error %d", code)
	}
	return binary.BigEndian.Uint32([]byte(f.payload))
}

// ToldToLeave reads the first GOAWAY and the PING behind it, whose payload it returns.
func (c *HTTP2) ToldToLeave() (ping string) {
	c.t.Helper()
	if last := c.Last(c.Await(FrameGoAway)); last != lastOfAll {
		c.t.Fatalf("the first GOAWAY names stream %d", last)
	}
	return c.Await(FramePing).payload
}

// Leaves reads until the last GOAWAY has come, and the streams' answers to their ends, in
// any order. It returns the last stream, and what the answers say.
func (c *HTTP2) Leaves(streams ...uint32) (last uint32, answers map[uint32]string) {
	c.t.Helper()
	answers = map[uint32]string{}
	open := map[uint32]bool{}
	for _, id := range streams {
		open[id] = true
	}
	for told := false; !told || len(open) > 0; {
		switch f := c.next(); f.kind {
		case FrameGoAway:
			told, last = true, c.Last(f)
		case FrameData, FrameHeaders:
			if f.kind == FrameData {
				answers[f.stream] += f.payload
			}
			if f.flags&FlagEndStream != 0 {
				delete(open, f.stream)
			}
		case 0xff:
			c.t.Fatalf("the connection has ended: told to leave %v, without answers %v", told, open)
		}
	}
	return last, answers
}
