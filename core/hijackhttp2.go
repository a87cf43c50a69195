package core

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"strings"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
)

// A handler can speak HTTP/2 itself on a connection that it takes over, as h2c.NewHandler of golang.org/x/net does with
// each. Neither net/http nor core sees its requests. But core sees the frames: the handler gets an h2.Conn in place of the
// socket, which asks the client to leave in two steps as on any other HTTP/2 connection, and counts the streams.

// takesHTTP2 reports whether a handler that hijacks the connection of r speaks HTTP/2 on it: the client has said
// HTTP/2's preface, or asks to go on in HTTP/2.
func takesHTTP2(r *http.Request) bool {
	return r.Method == methodPRI || strings.EqualFold(r.Header.Get("Upgrade"), "h2c")
}

// hijackHTTP2 returns what the handler gets of a connection that net/http has given away.
func (s *server) hijackHTTP2(r *http.Request, nc net.Conn, rw *bufio.ReadWriter) (net.Conn, *bufio.ReadWriter) {
	s.u.conns.CountHijackedHTTP2()
	c := conns.Tracked(nc)
	if c == nil || r.TLS != nil {
		s.warnOfHTTP2()
		return nc, rw
	}
	ahead, _ := rw.Reader.Peek(rw.Reader.Buffered())
	below := &aheadConn{Conn: nc, ahead: *bytes.NewReader(bytes.Clone(ahead))}
	if nc == net.Conn(c) {
		below.Conn = c.Conn // c writes through the frames that it carries
	}
	preface := len(h2.Preface)
	if r.Method == methodPRI {
		preface = len(h2.Preface) - len(prefaceHead)
	}
	f := h2.New(below, preface, 0, c.SaysGoodbye)
	f.Count(c.AnsweredFrames)
	if r.Method != methodPRI {
		f.AfterUpgrade()
	}
	taken := &hijackedHTTP2{Conn: f, own: nc}
	s.follow(c, f)
	rw.Reader.Reset(taken)
	rw.Writer.Reset(taken)
	return taken, rw
}

// prefaceHead is what of HTTP/2's preface looks like a request to a server of HTTP/1 (RFC 9113, section 3.4).
const prefaceHead = "PRI * HTTP/2.0\r\n\r\n"

// hijackedHTTP2 is the connection that the handler gets.
type hijackedHTTP2 struct {
	*h2.Conn
	own net.Conn // that net/http had
}

// Close takes it out of the table, too.
func (c *hijackedHTTP2) Close() error {
	c.End()
	return c.own.Close()
}

// NetConn returns what ConnState has seen.
func (c *hijackedHTTP2) NetConn() net.Conn { return exposed(c.own) }

// aheadConn is a connection of which some bytes have been read.
type aheadConn struct {
	net.Conn
	ahead bytes.Reader
}

func (c *aheadConn) Read(b []byte) (int, error) {
	if c.ahead.Len() > 0 {
		return c.ahead.Read(b)
	}
	return c.Conn.Read(b)
}

// takenHTTP2 returns those that there are.
func (u *Upgrader) takenHTTP2() (taken []*h2.Conn) {
	for _, c := range u.conns.All() {
		if f := c.HTTP2Frames(); f != nil && f.Counts() {
			taken = append(taken, f)
		}
	}
	return taken
}

// warnOfHTTP2 says, at the first connection, that one with HTTP/2 inside can't be followed: it comes by TLS, for which
// HTTP/2 was not agreed on. With http2.ConfigureServer the drain's Shutdown of the program's server has it send GOAWAY.
func (s *server) warnOfHTTP2() {
	if s.configured {
		return
	}
	s.warnHTTP2.Do(func() {
		s.u.log.Warn("a handler takes HTTP/2 connections over that gracex can't follow (h2c.NewHandler behind TLS): their requests are not counted, their clients get no GOAWAY in a drain, and the deadline cuts them; "+
			"leave the handler out and call Protocols.SetUnencryptedHTTP2(true) of the http.Server, or call http2.ConfigureServer with the server and the handler's http2.Server",
			"address", s.ln.Addr().String())
	})
}
