package core

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/h2"
)

// Types of frames and two flags (RFC 9113, section 6).
const (
	rawData     = 0x0
	rawHeaders  = 0x1
	rawSettings = 0x4
	rawPing     = 0x6
	rawGoAway   = 0x7

	rawAck        = 0x1
	rawEndStream  = 0x1
	rawEndHeaders = 0x4
)

// lastOfAll is the last stream of a first GOAWAY (RFC 9113, section 6.8).
const lastOfAll = 1<<31 - 1

// rawHTTP2 is an HTTP/2 client that does nothing by itself.
type rawHTTP2 struct {
	t  *testing.T
	nc net.Conn
}

// rawFrame is a frame that the server has sent.
type rawFrame struct {
	kind, flags byte
	stream      uint32
	payload     string
}

// dialHTTP2 says the preface and waits for the server's SETTINGS. A config of nil is no TLS.
func dialHTTP2(t *testing.T, addr string, config *tls.Config) *rawHTTP2 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	return greetHTTP2(t, nc, config)
}

func greetHTTP2(t *testing.T, nc net.Conn, config *tls.Config) *rawHTTP2 {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(patience)))
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
	c := &rawHTTP2{t: t, nc: nc}
	_, err := io.WriteString(nc, h2.Preface)
	must(t, err)
	c.send(rawSettings, 0, 0, "")
	if f := c.next(); f.kind != rawSettings {
		t.Fatalf("the server begins with %+v", f)
	}
	return c
}

func (c *rawHTTP2) send(kind, flags byte, stream uint32, payload string) {
	c.t.Helper()
	f := binary.BigEndian.AppendUint32([]byte{0, 0, byte(len(payload)), kind, flags}, stream)
	_, err := c.nc.Write(append(f, payload...))
	must(c.t, err)
}

// open begins a request: POST /, with a body to come, or none. HPACK's static table has all but
// the host.
func (c *rawHTTP2) open(stream uint32, flags byte) {
	c.t.Helper()
	c.send(rawHeaders, rawEndHeaders|flags, stream, "\x83\x86\x84\x41\x01x")
}

// next reads a frame. One of no kind is the end of the connection.
func (c *rawHTTP2) next() rawFrame {
	c.t.Helper()
	var head [9]byte
	_, err := io.ReadFull(c.nc, head[:])
	if err == io.EOF {
		return rawFrame{kind: 0xff}
	}
	must(c.t, err)
	payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(c.nc, payload)
	must(c.t, err)
	return rawFrame{head[3], head[4], binary.BigEndian.Uint32(head[5:]), string(payload)}
}

// await reads frames up to the next one of this kind, and returns it. A GOAWAY, or the end,
// that comes before is not expected.
func (c *rawHTTP2) await(kind byte) rawFrame {
	c.t.Helper()
	for {
		switch f := c.next(); {
		case f.kind == kind && (kind != rawPing || f.flags&rawAck == 0):
			return f
		case f.kind == rawGoAway || f.kind == 0xff:
			c.t.Fatalf("waiting for a frame of type %d: %+v", kind, f)
		}
	}
}

// answered reads an answer to its end.
func (c *rawHTTP2) answered(stream uint32) {
	c.t.Helper()
	for {
		switch f := c.next(); {
		case f.stream == stream && f.kind <= rawHeaders && f.flags&rawEndStream != 0:
			return
		case f.stream == stream && f.kind > rawHeaders, f.kind == rawGoAway, f.kind == 0xff:
			c.t.Fatalf("waiting for the answer on stream %d: %+v", stream, f)
		}
	}
}

// last is the last stream that a GOAWAY names; its error code must be 0.
func (c *rawHTTP2) last(f rawFrame) uint32 {
	c.t.Helper()
	if code := binary.BigEndian.Uint32([]byte(f.payload[4:])); code != 0 {
		c.t.Errorf("GOAWAY with error %d", code)
	}
	return binary.BigEndian.Uint32([]byte(f.payload))
}

// toldToLeave reads the first GOAWAY and the PING behind it, whose payload it returns.
func (c *rawHTTP2) toldToLeave() (ping string) {
	c.t.Helper()
	if last := c.last(c.await(rawGoAway)); last != lastOfAll {
		c.t.Fatalf("the first GOAWAY names stream %d", last)
	}
	return c.await(rawPing).payload
}

// leaves reads until the last GOAWAY has come, and the streams' answers to their ends, in
// any order. It returns the last stream, and what the answers say.
func (c *rawHTTP2) leaves(streams ...uint32) (last uint32, answers map[uint32]string) {
	c.t.Helper()
	answers = map[uint32]string{}
	open := map[uint32]bool{}
	for _, id := range streams {
		open[id] = true
	}
	for told := false; !told || len(open) > 0; {
		switch f := c.next(); f.kind {
		case rawGoAway:
			told, last = true, c.last(f)
		case rawData, rawHeaders:
			if f.kind == rawData {
				answers[f.stream] += f.payload
			}
			if f.flags&rawEndStream != 0 {
				delete(open, f.stream)
			}
		case 0xff:
			c.t.Fatalf("the connection has ended: told to leave %v, without answers %v", told, open)
		}
	}
	return last, answers
}
