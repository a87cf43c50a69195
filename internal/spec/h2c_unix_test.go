//go:build unix

package spec_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	xh2c "golang.org/x/net/http2/h2c" //nolint:staticcheck // deprecated, and many programs have it

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// h2cFramework is net/http with the handler by which many programs speak HTTP/2 without TLS. It takes each such
// connection over.
var h2cFramework = framework{name: "h2c", methods: []method{
	{name: "NewHandler", kind: h2c, hijacks: true, serve: func(p *process) error {
		srv := p.server(newH2CHandler(nethttpApp(p), &http2.Server{}))
		if p.both {
			srv.Protocols = new(http.Protocols)
			srv.Protocols.SetHTTP1(true)
			srv.Protocols.SetUnencryptedHTTP2(true)
		}
		return core.Serve(srv, p.opts...)
	}},
	{name: "NewHandler and ConfigureServer", kind: h2c, hijacks: true, serve: func(p *process) error {
		h2s := &http2.Server{}
		srv := p.server(newH2CHandler(nethttpApp(p), h2s))
		if err := http2.ConfigureServer(srv, h2s); err != nil {
			return err
		}
		return core.Serve(srv, p.opts...)
	}},
}}

var newH2CHandler = xh2c.NewHandler //nolint:staticcheck // as above

func hijacks(m method) bool { return m.hijacks }

// Under POSTs that stream their bodies, and are never sent again, the program is upgraded: none is refused, and none is
// lost.
func TestHijackedHTTP2LosesNothing(t *testing.T) {
	t.Parallel()
	each(t, hijacks, func(t *testing.T, m method) {
		s := start(t, m, "")
		run := s.startLoad(load.Config{HTTP2: true, Clients: http2Clients, Streams: 4, Chunked: true, BodySize: 2000})
		loads := []*load.Run{run, s.startLoad(load.Config{Clients: 2})}
		defer stopAll(t, loads)
		for i := range upgrades() + 1 {
			if i > 0 {
				s.upgrade(syscall.SIGUSR2)
			}
			s.Await(fmt.Sprintf("HTTP/2 clients go on to generation %d", i), func() bool { return run.Snapshot().Connects >= http2Clients*(i+1) })
			want := run.Snapshot().Requests + 50
			s.Await("they are answered", func() bool { return run.Snapshot().Requests >= want })
		}
		stopAll(t, loads)
		s.stop()
		for i := range s.gen + 1 {
			if e := s.awaitFrom(i, "generation ended"); e.Ledger.Cut != 0 {
				t.Errorf("generation %d has cut %d requests", i, e.Ledger.Cut)
			}
		}
		if n := len(s.logged("a handler takes HTTP/2 connections over")); n != 0 {
			t.Errorf("%d warnings", n)
		}
	})
}

// A client that knows beforehand that the server speaks HTTP/2, and one that asks for it by Upgrade, are asked to leave in
// two steps, and what they have opened is answered.
func TestHijackedHTTP2Leaves(t *testing.T) {
	t.Parallel()
	s := start(t, methodOf("h2c/NewHandler"), "")
	knows, asks := rawhttp.DialHTTP2(t, s.address, nil), upgradeToHTTP2(t, s.address)
	all := []*rawhttp.HTTP2{knows, asks}
	for _, c := range all {
		c.Open(3)
		c.Send(3, "before ")
	}
	s.upgrade(syscall.SIGUSR2)
	for _, c := range all {
		ping := c.ToldToLeave()
		c.Open(5)
		c.End(5, "in between")
		c.Pong(ping)
		c.End(3, "and after")
		last, answers := c.Leaves(3, 5)
		if last != 5 || answers[3] != "before and after" || answers[5] != "in between" {
			t.Errorf("last stream %d, answers %q", last, answers)
		}
	}
	s.awaitFrom(0, "generation ended")
	s.stop()
}

// An idle one does not move: its server is the handler, and not net/http's, though the next process takes connections of
// that.
func TestHijackedHTTP2LeavesIdle(t *testing.T) {
	t.Parallel()
	s := start(t, methodOf("h2c/NewHandler"), "both")
	c := upgradeToHTTP2(t, s.address)
	c.Ask(3)
	c.Answered(3)
	s.upgrade(syscall.SIGUSR2)
	c.Pong(c.ToldToLeave())
	c.ToldTheLast(3)
	s.awaitFrom(0, "generation ended")
	s.stop()
}

// upgradeToHTTP2 connects with HTTP/1.1, and goes on in HTTP/2 with the answer on stream 1.
func upgradeToHTTP2(t *testing.T, addr string) *rawhttp.HTTP2 {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	must(t, err)
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(nc, "POST / HTTP/1.1\r\nHost: "+serverName+"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"+
		"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 3\r\n\r\none")
	must(t, err)
	var answer strings.Builder
	for b := make([]byte, 1); !strings.HasSuffix(answer.String(), "\r\n\r\n"); {
		_, err := io.ReadFull(nc, b)
		must(t, err)
		answer.Write(b)
	}
	if !strings.HasPrefix(answer.String(), "HTTP/1.1 101 ") {
		t.Fatalf("the answer is %q", answer.String())
	}
	c := rawhttp.GreetHTTP2(t, nc, nil)
	c.Answered(1)
	return c
}

// What is cut at the deadline is counted: the requests, and not the connections alone.
func TestHijackedHTTP2IsCountedAsCut(t *testing.T) {
	t.Parallel()
	s := start(t, methodOf("h2c/NewHandler"), "cut")
	const requests = 8
	for range 2 {
		c := rawhttp.DialHTTP2(t, s.address, nil)
		for i := range uint32(requests / 2) {
			c.Open(1 + 2*i)
		}
		c.Ask(101)
		c.Answered(101)
	}
	s.upgrade(syscall.SIGUSR2)
	if e := s.awaitFrom(0, "drain timeout"); e.Left != requests {
		t.Errorf("the hook heard of %d requests, want %d", e.Left, requests)
	}
	if e := s.awaitFrom(0, "generation ended"); e.Ledger.Cut != requests {
		t.Errorf("%d requests counted as cut, want %d", e.Ledger.Cut, requests)
	}
	s.terminate()
	s.AwaitEnd()
}

// methodOf returns the method of that program.
func methodOf(program string) method {
	for _, m := range methods {
		if m.program == program {
			return m
		}
	}
	panic("no program " + program)
}
