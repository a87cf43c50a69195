package core_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// http2Way is one of the ways in which a server gets HTTP/2 connections.
type http2Way struct {
	name   string
	tls    bool                                         // the client's
	listen func(net.Listener, *tls.Config) net.Listener // nil: AttachTLS, or in the clear
	h2c    bool                                         // the server speaks it in the clear, too
}

var http2Ways = []http2Way{
	{name: "TLS", tls: true},
	{name: "in the clear", h2c: true},
	{name: "the program's TLS", tls: true, listen: tls.NewListener},
	{name: "the program's TLS, h2c on", tls: true, listen: tls.NewListener, h2c: true},
	{name: "wrapped TLS", tls: true, listen: func(ln net.Listener, c *tls.Config) net.Listener {
		return tls.NewListener(core.Hiding{Listener: ln}, c)
	}},
}

// http2Server is a server of a test.
type http2Server struct {
	*core.Upgrader
	t      *testing.T
	addr   string
	config *tls.Config // the client's; nil in the clear
}

// start serves in this way. A handler of nil answers with the body, and notes what is not as the program has set it.
func (w http2Way) start(t *testing.T, handler http.HandlerFunc, opts ...core.Option) *http2Server {
	t.Helper()
	if handler == nil {
		handler = func(rw http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 || (r.TLS != nil) != w.tls || w.tls && r.TLS.NegotiatedProtocol != "h2" {
				t.Errorf("%s, TLS %+v", r.Proto, r.TLS)
			}
			_, _ = io.Copy(rw, r.Body)
		}
	}
	srv := &http.Server{Handler: handler}
	if w.h2c {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	certFile, keyFile, pool := rawhttp.Certificate(t)
	u := core.NewTest(t, opts...)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	s := &http2Server{Upgrader: u, t: t, addr: ln.Addr().String()}
	if w.tls {
		s.config = &tls.Config{RootCAs: pool}
	}
	switch {
	case w.listen != nil:
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		must(t, err)
		config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
		must(t, u.Attach(srv, w.listen(ln, config)))
	case w.tls:
		must(t, u.AttachTLS(srv, ln, certFile, keyFile))
	default:
		must(t, u.Attach(srv, ln))
	}
	must(t, u.Ready())
	return s
}

func (s *http2Server) dial() *rawhttp.HTTP2 {
	s.t.Helper()
	return rawhttp.DialHTTP2(s.t, s.addr, s.config)
}

func (s *http2Server) expectOpen(requests, connections int) {
	s.t.Helper()
	core.ExpectOpen(s.t, s.Upgrader, core.Remaining{Requests: requests, Connections: connections})
}

// stop begins a stop. The function that it returns closes the connections and waits for the end.
func (s *http2Server) stop() (end func(...*rawhttp.HTTP2)) {
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	return func(clients ...*rawhttp.HTTP2) {
		s.t.Helper()
		for _, c := range clients {
			must(s.t, c.Close()) // else net/http does in a second
		}
		must(s.t, <-stopped)
	}
}

// TestGoAway_ComesInTwoSteps: streams that are open, or that are opened between the two, are answered.
func TestGoAway_ComesInTwoSteps(t *testing.T) {
	t.Parallel()
	for _, way := range http2Ways {
		t.Run(way.name, func(t *testing.T) {
			s := way.start(t, nil)
			c := s.dial()
			c.Ask(1)
			c.Answered(1)
			c.Open(3)
			s.expectOpen(1, 1)
			end := s.stop()
			ping := c.ToldToLeave()
			c.Ask(5)      // as if it had crossed
			c.Answered(5) // which no other GOAWAY comes before
			c.Pong(ping)
			c.End(3, "end")
			if last, answers := c.Leaves(3); last != 5 || answers[3] != "end" {
				t.Errorf("the last stream is %d, the answers are %q", last, answers)
			}
			end(c)
			if st := s.Status().Ledger; st.Served != 3 || st.ClosedPolitely != 1 || st.Cut != (core.Remaining{}) {
				t.Errorf("ledger %+v", st)
			}
		})
	}
}

func TestGoAway(t *testing.T) {
	t.Parallel()
	for _, way := range http2Ways[:2] {
		t.Run("without an answer to the PING it names the last stream all the same, "+way.name, func(t *testing.T) {
			s := way.start(t, nil, core.WithDrainTimeout(4*time.Second))
			c := s.dial()
			c.Open(1)
			s.expectOpen(1, 1)
			end := s.stop()
			c.ToldToLeave()
			c.ToldTheLast(1)
			c.End(1, "end")
			c.Answered(1)
			end(c)
		})
		// Its request is answered as well.
		t.Run("goes to a connection that begins to speak HTTP/2 later, "+way.name, func(t *testing.T) {
			release := make(chan struct{})
			s := way.start(t, func(http.ResponseWriter, *http.Request) { <-release })
			first := s.dial()
			first.Ask(1)
			late, err := net.Dial("tcp", s.addr)
			must(t, err)
			s.expectOpen(1, 2)
			s.AskToLeave(true) // without the rest of a drain, which closes what is not used for a second
			first.ToldToLeave()
			c := rawhttp.GreetHTTP2(t, late, s.config)
			c.Ask(1)
			c.Pong(c.ToldToLeave())
			close(release)
			if last, _ := c.Leaves(1); last != 1 {
				t.Errorf("the last stream is %d", last)
			}
			must(t, c.Close())
			must(t, first.Close())
			must(t, s.Stop(t.Context()))
		})
		// A drain that is called off has told those that there were. Later ones are served, and told by the next drain.
		t.Run("goes to nobody twice, "+way.name, func(t *testing.T) {
			s := way.start(t, nil)
			first := s.dial()
			first.Open(1)
			s.expectOpen(1, 1)
			s.AskToLeave(true)
			first.Pong(first.ToldToLeave())
			first.ToldTheLast(1)
			s.AskToLeave(false)
			second := s.dial()
			second.Ask(1)
			second.Answered(1) // which no GOAWAY comes before
			second.Open(3)
			s.expectOpen(2, 2)
			s.AskToLeave(true)
			second.Pong(second.ToldToLeave())
			first.End(1, "")
			first.Answered(1)
			second.ToldTheLast(3)
			second.End(3, "")
			second.Answered(3)
			must(t, first.Close())
			must(t, second.Close())
			must(t, s.Stop(t.Context()))
		})
	}
}

// TestHTTP2_IsTheProgramsToReplace: what switches HTTP/2 off, or replaces it, does so here.
func TestHTTP2_IsTheProgramsToReplace(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	type protos = map[string]func(*http.Server, *tls.Conn, http.Handler)
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	own := func(_ *http.Server, c *tls.Conn, _ http.Handler) {
		fmt.Fprint(c, "220 ", c.ConnectionState().NegotiatedProtocol)
	}
	type gets = map[string]string // by the protocol that the client wants
	for name, tt := range map[string]struct {
		srv  *http.Server
		want gets
	}{
		"an empty map": {&http.Server{TLSNextProto: protos{}}, gets{"h2": "HTTP/1.1"}},
		"another entry": {&http.Server{TLSNextProto: protos{"smtp": own}},
			gets{"h2": "HTTP/1.1", "smtp": "220 smtp"}},
		"an entry beside": {&http.Server{TLSNextProto: protos{"smtp": own}, Protocols: both},
			gets{"h2": "HTTP/2.0", "smtp": "220 smtp"}},
		"its own HTTP/2": {&http.Server{TLSNextProto: protos{"h2": own}}, gets{"h2": "220 h2"}},
		"left out":       {&http.Server{}, gets{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t)
			tt.srv.Handler = http.NotFoundHandler()
			tt.srv.TLSConfig = &tls.Config{NextProtos: []string{"smtp"}}
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			must(t, u.AttachTLS(tt.srv, ln, certFile, keyFile))
			must(t, u.Ready())
			for proto, want := range tt.want {
				if _, got := askFor(t, ln.Addr().String(), pool, proto); got != want {
					t.Errorf("a client for %s gets %s, want %s", proto, got, want)
				}
			}
		})
	}
}

// askFor asks as a client that wants the protocol, and else HTTP/1.1. It returns what the two agree on, and the
// version of HTTP that answers, or else all that the server says.
func askFor(t *testing.T, addr string, pool *x509.CertPool, proto string) (agreed, answer string) {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, NextProtos: []string{proto, "http/1.1"}})
	must(t, err)
	defer nc.Close()
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	agreed = nc.ConnectionState().NegotiatedProtocol
	switch agreed {
	case "h2":
		_, err = io.WriteString(nc, h2.Preface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	case "http/1.1", "":
		_, err = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
	}
	must(t, err)
	r := bufio.NewReader(nc)
	if head, err := r.Peek(4); err == nil && head[3] == 4 { // a frame, SETTINGS
		return agreed, "HTTP/2.0"
	}
	b, _ := io.ReadAll(r) // the server may have closed before it has read all
	version, _, is := strings.Cut(string(b), " ")
	if is && strings.HasPrefix(version, "HTTP/") {
		return agreed, version
	}
	return agreed, string(b)
}

// otherTLS is a listener of TLS whose connections are not crypto/tls's own type.
type otherTLS struct{ net.Listener }

func (l otherTLS) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ *tls.Conn }{c.(*tls.Conn)}, nil
}

// TestOtherTLS_IsServedAsByNetHTTPAlone: HTTP/1, and HTTP/2 since Go 1.27, whatever else the server speaks.
func TestOtherTLS_IsServedAsByNetHTTPAlone(t *testing.T) {
	t.Parallel()
	listen := func(ln net.Listener, c *tls.Config) net.Listener { return otherTLS{tls.NewListener(ln, c)} }
	for name, h2c := range map[string]bool{"as it is": false, "h2c on": true} {
		t.Run(name, func(t *testing.T) {
			s := http2Way{tls: true, h2c: h2c, listen: listen}.start(t, func(_ http.ResponseWriter, r *http.Request) {
				if r.TLS == nil {
					t.Error("no TLS")
				}
			})
			if _, got := askFor(t, s.addr, s.config.RootCAs, "http/1.1"); got != "HTTP/1.1" {
				t.Errorf("a client for HTTP/1.1 gets %s", got)
			}
			if h2.Doors().State == nil { // net/http takes such a connection
				c := s.dial()
				c.Ask(1)
				c.Answered(1)
				must(t, c.Close())
			}
			must(t, s.Stop(t.Context()))
		})
	}
}
