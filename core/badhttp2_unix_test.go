//go:build unix

package core_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/h2/misdeed"
	"github.com/gracex-go/gracex/internal/load"
)

// badHTTP2 is an HTTP/2 client that says what a test wants, and does nothing that it should.
type badHTTP2 struct {
	net.Conn
	t testing.TB
}

// Parts of what it says: frames with no payload, or of requests that are POST / in HPACK.
const (
	emptySettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	settingsACK   = "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
	whatNow       = "\x00\x00\x08\x06\x00\x00\x00\x00\x00what now"
)

// postOn is the beginning of a request.
func postOn(stream byte) string {
	return "\x00\x00\x06\x01\x04\x00\x00\x00" + string(stream) + "\x83\x86\x84\x41\x01x"
}

// endOf is the end of one.
func endOf(stream byte) string {
	return "\x00\x00\x03\x00\x01\x00\x00\x00" + string(stream) + "end"
}

// dialBadHTTP2 connects, with one request that is answered and, if open, one that is not at its end. Otherwise that one is
// answered, too.
func dialBadHTTP2(t testing.TB, addr string, open bool) *badHTTP2 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { nc.Close() })
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	c := &badHTTP2{nc, t}
	c.say(h2.Preface, emptySettings)
	c.until(func(f frame2) bool { return f.kind == 4 && f.flags == 0 })
	c.say(settingsACK, postOn(1), endOf(1))
	c.until(func(f frame2) bool { return f.ends(1) })
	c.say(postOn(3))
	if !open {
		c.say(endOf(3))
		c.until(func(f frame2) bool { return f.ends(3) })
	}
	c.judged("") // all of that is dealt with
	return c
}

func (c *badHTTP2) say(what ...string) {
	c.t.Helper()
	_, err := io.WriteString(c, strings.Join(what, ""))
	must(c.t, err)
}

// frame2 is a frame of HTTP/2.
type frame2 struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

// ends reports whether it is the end of an answer.
func (f frame2) ends(stream uint32) bool { return f.stream == stream && f.kind <= 1 && f.flags&1 != 0 }

func (c *badHTTP2) next() (f frame2, err error) {
	var head [9]byte
	if _, err = io.ReadFull(c, head[:]); err != nil {
		return f, err
	}
	f = frame2{head[3], head[4], binary.BigEndian.Uint32(head[5:]), make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))}
	_, err = io.ReadFull(c, f.payload)
	return f, err
}

func (c *badHTTP2) until(fits func(frame2) bool) {
	c.t.Helper()
	for {
		f, err := c.next()
		must(c.t, err)
		if fits(f) {
			return
		}
	}
}

// toldBefore is for a connection whose client was asked to leave before. net/http says no second error then.
const toldBefore = "it leaves"

// judged says something and a PING, and returns what becomes of the connection.
func (c *badHTTP2) judged(what string) string {
	c.t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience)) // anew: others were looked at since it was dialed
	_, _ = io.WriteString(c, what+whatNow)      // the server may read no more
	for {
		f, err := c.next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.t.Fatalf("after %q the server neither answers nor ends the connection", what)
		case err != nil:
			return "it is closed"
		case f.kind == 7 && string(f.payload) == "\x7f\xff\xff\xff\x00\x00\x00\x00":
			return toldBefore
		case f.kind == 7:
			return fmt.Sprintf("GOAWAY, last stream %d, code %d", binary.BigEndian.Uint32(f.payload), binary.BigEndian.Uint32(f.payload[4:]))
		case f.kind == 6 && f.flags == 1 && string(f.payload) == whatNow[9:]:
			return "it goes on"
		}
	}
}

// netHTTPAlone is a server without core, for HTTP/2 in the clear.
func netHTTPAlone(t testing.TB) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	srv := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(serveRequest), ErrorLog: log.New(io.Discard, "", 0)}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close() })
	return ln.Addr().String()
}

// TestBadHTTP2_EndsAsNetHTTPsAlone: what a client does wrong has the same end as without core, before an upgrade, in a
// process that drains, and in one to which the connection has moved. Nobody else notices.
func TestBadHTTP2_EndsAsNetHTTPsAlone(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-h2c")
	addr, alone := first.Addrs[0], netHTTPAlone(t)
	others := load.Start(load.Config{Addr: addr, HTTP2: true, Streams: 4, Clients: 2, Chunked: true, BodySize: 2000, Timeout: patience})
	type judged struct {
		name string
		*badHTTP2
		want string
	}
	var draining, moved []judged
	for name, says := range misdeed.All() {
		if strings.Contains(name, "half") || strings.Contains(name, "overflows") {
			continue // see TestBadHTTP2_ThatGoes; and a stream that is answered first has no window
		}
		want, wantOpen := dialBadHTTP2(t, alone, false).judged(string(says)), dialBadHTTP2(t, alone, true).judged(string(says))
		c := dialBadHTTP2(t, addr, false)
		if got := c.judged(string(says)); got != want {
			t.Errorf("%s: %s; net/http alone: %s", name, got, want)
		}
		must(t, c.Close())
		draining = append(draining, judged{name, dialBadHTTP2(t, addr, true), wantOpen})
		moved = append(moved, judged{name, dialBadHTTP2(t, addr, false), want})
	}
	a.next(first)
	var wg sync.WaitGroup
	for _, c := range draining { // before they are asked to leave, which the server does after 5 s
		if c.name == "an ACK of nothing" {
			_ = c.Close() // it may be one of SETTINGS that the process has said before the move
			continue
		}
		wg.Go(func() {
			if got := c.judged(string(misdeed.All()[c.name])); got != c.want && got != toldBefore {
				t.Errorf("%s, in a process that drains: %s; net/http alone: %s", c.name, got, c.want)
			}
			_ = c.Close()
		})
	}
	wg.Wait()
	expectStats(t, addr, func(l core.Ledger) bool { return l.Adopted >= uint64(len(moved)) })
	for _, c := range moved {
		if got := c.judged(string(misdeed.All()[c.name])); got != c.want {
			t.Errorf("%s, moved: %s; net/http alone: %s", c.name, got, c.want)
		}
		must(t, c.Close())
	}
	a.endsWell(0)
	if res := expectLossless(t, others); res.Connects != 2 {
		t.Errorf("the others have %d connections", res.Connects)
	}
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Connections <= 1 && l.Open.Requests <= 1 })
	if strings.Contains(a.log(), "panic") {
		t.Error("a panic is in the log")
	}
}

// TestBadHTTP2_ThatGoes in the middle of anything, politely or not, before, during or after an upgrade, is gone. Nobody else
// notices, and nothing is left of it.
func TestBadHTTP2_ThatGoes(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-h2c")
	addr := first.Addrs[0]
	others := load.Start(load.Config{Addr: addr, HTTP2: true, Streams: 4, Clients: 2, Chunked: true, BodySize: 2000, Timeout: patience})
	type client struct {
		*net.TCPConn
		says  string
		reset bool
	}
	goes := func(c client) {
		t.Helper()
		_, _ = io.WriteString(c, c.says) // the server may have closed it
		if c.reset {
			must(t, c.SetLinger(0))
		}
		must(t, c.Close())
	}
	var during, after []client
	for _, reset := range []bool{false, true} {
		for _, says := range []string{
			"", "\x00", postOn(5)[:12], "\x00\x00\x03\x01\x00\x00\x00\x00\x05\x83\x86\x84", // the last one: HEADERS that go on
			postOn(5), postOn(5) + endOf(5)[:10], postOn(5) + endOf(5), emptySettings, whatNow, whatNow[:12],
		} {
			c := func() client { return client{dialBadHTTP2(t, addr, false).Conn.(*net.TCPConn), says, reset} }
			goes(c())
			during, after = append(during, c()), append(after, c())
		}
		for _, says := range []string{"", h2.Preface[:10], h2.Preface, h2.Preface + emptySettings[:5], h2.Preface + emptySettings} {
			c := func() client {
				nc, err := net.Dial("tcp", addr)
				must(t, err)
				return client{nc.(*net.TCPConn), says, reset}
			}
			goes(c())
			during, after = append(during, c()), append(after, c())
		}
	}
	a.signal(first.PID, syscall.SIGUSR2)
	var wg sync.WaitGroup
	for i, c := range during {
		wg.Go(func() {
			time.Sleep(time.Duration(i) * 3 * time.Millisecond) // at any moment
			goes(c)
		})
	}
	wg.Wait()
	a.expect("ready", 1)
	a.endsWell(0)
	for _, c := range after {
		goes(c)
	}
	if res := expectLossless(t, others); res.Connects != 2 {
		t.Errorf("the others have %d connections", res.Connects)
	}
	expectStats(t, addr, func(l core.Ledger) bool { return l.Open.Connections <= 1 && l.Open.Requests <= 1 })
}

// TestBadHTTP2_NeverAcknowledges: a client that does not acknowledge SETTINGS is answered, and asked to leave because
// nobody knows what it goes by.
func TestBadHTTP2_NeverAcknowledges(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.write("drain", "8s")
	a.start("app", "./app", "-h2c")
	first := a.expect("ready", 0)
	nc, err := net.Dial("tcp", first.Addrs[0])
	must(t, err)
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	c := &badHTTP2{nc, t}
	c.say(h2.Preface, emptySettings, postOn(1), endOf(1))
	c.until(func(f frame2) bool { return f.ends(1) })
	a.next(first)
	c.say(postOn(3), endOf(3))
	c.until(func(f frame2) bool { return f.ends(3) })
	var ping []byte
	c.until(func(f frame2) bool {
		ping = f.payload
		return f.kind == 6 && f.flags == 0
	})
	c.say("\x00\x00\x08\x06\x01\x00\x00\x00\x00", string(ping))
	if got, want := c.judged(""), "GOAWAY, last stream 3, code 0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	must(t, c.Close())
	a.endsWell(0)
	a.expectLog("ledger.stayed_http2_other=1", 1)
}
