package core_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
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
	serve  bool                                         // AttachTLS
	listen func(net.Listener, *tls.Config) net.Listener // nil: as it is
	h2c    bool                                         // the server speaks it in the clear, too
}

var http2Ways = []http2Way{
	{name: "TLS", tls: true, serve: true},
	{name: "in the clear", h2c: true},
	{name: "the program's TLS", tls: true, listen: tls.NewListener},
	{name: "the program's TLS, h2c on", tls: true, listen: tls.NewListener, h2c: true},
	{name: "wrapped TLS", tls: true, listen: func(ln net.Listener, c *tls.Config) net.Listener {
		return tls.NewListener(core.Hiding{Listener: ln}, c)
	}},
}

// attachHTTP2 serves srv in this way, and returns the address and how to dial it.
func (w http2Way) attach(t *testing.T, u *core.Upgrader, srv *http.Server) (addr string, config *tls.Config) {
	t.Helper()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	if w.h2c {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetHTTP2(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	if w.tls {
		config = &tls.Config{RootCAs: pool}
	}
	addr = ln.Addr().String()
	if w.serve {
		must(t, u.AttachTLS(srv, ln, certFile, keyFile))
		return addr, config
	}
	if w.listen != nil {
		cert, err := tls.LoadX509KeyPair(certFile, keyFile)
		must(t, err)
		ln = w.listen(ln, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}})
	}
	must(t, u.Attach(srv, ln))
	return addr, config
}

// echoHTTP2 answers with the body, and notes what is not as the program has set it.
func echoHTTP2(t *testing.T, overTLS bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || (r.TLS != nil) != overTLS || overTLS && r.TLS.NegotiatedProtocol != "h2" {
			t.Errorf("%s, TLS %+v", r.Proto, r.TLS)
		}
		_, _ = io.Copy(w, r.Body)
	}
}

// TestGoAwayInTwoSteps: a stream that a client opens while it is told to leave is answered, and
// so is one that it has open.
func TestGoAwayInTwoSteps(t *testing.T) {
	t.Parallel()
	for _, way := range http2Ways {
		t.Run(way.name, func(t *testing.T) {
			u := core.NewTest(t)
			addr, config := way.attach(t, u, &http.Server{Handler: echoHTTP2(t, way.tls)})
			must(t, u.Ready())
			c := rawhttp.DialHTTP2(t, addr, config)
			c.Open(1, rawhttp.FlagEndStream)
			c.Answered(1)
			c.Open(3, 0)
			core.ExpectOpen(t, u, core.Remaining{Requests: 1, Connections: 1})
			stopped := make(chan error, 1)
			go func() { stopped <- u.Stop(context.Background()) }()
			ping := c.ToldToLeave()
			c.Open(5, rawhttp.FlagEndStream) // as if it had crossed
			c.Answered(5)                    // which no other GOAWAY comes before
			c.Send(rawhttp.FramePing, rawhttp.FlagAck, 0, ping)
			c.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 3, "end")
			if last, answers := c.Leaves(3); last != 5 || answers[3] != "end" {
				t.Errorf("the last stream is %d, the answers are %q", last, answers)
			}
			must(t, c.Conn.Close()) // else net/http does in a second
			must(t, <-stopped)
			if st := u.Stats(); st.Served != 3 || st.ClosedPolitely != 1 || st.Cut != (core.Remaining{}) {
				t.Errorf("ledger %+v", st)
			}
		})
	}
}

// TestGoAwayWithoutAnswer: a client that does not answer the PING is told the last stream
// all the same.
func TestGoAwayWithoutAnswer(t *testing.T) {
	t.Parallel()
	for _, way := range http2Ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			u := core.NewTest(t, core.WithDrainTimeout(time.Second))
			addr, config := way.attach(t, u, &http.Server{Handler: echoHTTP2(t, way.tls)})
			must(t, u.Ready())
			c := rawhttp.DialHTTP2(t, addr, config)
			c.Open(1, 0)
			core.ExpectOpen(t, u, core.Remaining{Requests: 1, Connections: 1})
			stopped := make(chan error, 1)
			go func() { stopped <- u.Stop(context.Background()) }()
			c.ToldToLeave()
			if last := c.Last(c.Await(rawhttp.FrameGoAway)); last != 1 {
				t.Errorf("the last stream is %d", last)
			}
			c.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 1, "end")
			c.Answered(1)
			must(t, c.Conn.Close())
			must(t, <-stopped)
		})
	}
}

// TestGoAwayToLateConnections: one that begins to speak HTTP/2 only when the drain has
// begun is told to leave as well, and its request is answered.
func TestGoAwayToLateConnections(t *testing.T) {
	t.Parallel()
	for _, way := range http2Ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			u := core.NewTest(t)
			release := make(chan struct{})
			addr, config := way.attach(t, u, &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					<-release
				}
			})})
			must(t, u.Ready())
			first := rawhttp.DialHTTP2(t, addr, config)
			first.Open(1, rawhttp.FlagEndStream)
			late, err := net.Dial("tcp", addr)
			must(t, err)
			core.ExpectOpen(t, u, core.Remaining{Requests: 1, Connections: 2})
			stopped := make(chan error, 1)
			go func() { stopped <- u.Stop(context.Background()) }()
			first.ToldToLeave()
			c := rawhttp.GreetHTTP2(t, late, config)
			c.Open(1, rawhttp.FlagEndStream)
			c.Send(rawhttp.FramePing, rawhttp.FlagAck, 0, c.ToldToLeave())
			close(release)
			if last, _ := c.Leaves(1); last != 1 {
				t.Errorf("the last stream is %d", last)
			}
			must(t, c.Conn.Close())
			must(t, first.Conn.Close())
			must(t, <-stopped)
		})
	}
}

// TestGoAwayTwice: a drain that is called off has told those that there were. Later ones
// are served, and told by the next drain; nobody is told twice.
func TestGoAwayTwice(t *testing.T) {
	t.Parallel()
	for _, way := range http2Ways[:2] {
		t.Run(way.name, func(t *testing.T) {
			u := core.NewTest(t)
			addr, config := way.attach(t, u, &http.Server{Handler: echoHTTP2(t, way.tls)})
			must(t, u.Ready())
			first := rawhttp.DialHTTP2(t, addr, config)
			first.Open(1, 0)
			core.ExpectOpen(t, u, core.Remaining{Requests: 1, Connections: 1})
			u.AskToLeave(true)
			first.Send(rawhttp.FramePing, rawhttp.FlagAck, 0, first.ToldToLeave())
			if last := first.Last(first.Await(rawhttp.FrameGoAway)); last != 1 {
				t.Errorf("the last stream is %d", last)
			}
			u.AskToLeave(false)
			second := rawhttp.DialHTTP2(t, addr, config)
			second.Open(1, rawhttp.FlagEndStream)
			second.Answered(1) // which no GOAWAY comes before
			second.Open(3, 0)
			core.ExpectOpen(t, u, core.Remaining{Requests: 2, Connections: 2})
			u.AskToLeave(true)
			second.Send(rawhttp.FramePing, rawhttp.FlagAck, 0, second.ToldToLeave())
			first.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 1, "")
			first.Answered(1)
			second.Await(rawhttp.FrameGoAway)
			second.Send(rawhttp.FrameData, rawhttp.FlagEndStream, 3, "")
			second.Answered(3)
			must(t, first.Conn.Close())
			must(t, second.Conn.Close())
			must(t, u.Stop(t.Context()))
		})
	}
}

// TestHTTP2Off: what switches HTTP/2 off, or replaces it, does so here.
func TestHTTP2Off(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	type protos = map[string]func(*http.Server, *tls.Conn, http.Handler)
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetHTTP2(true)
	own := func(_ *http.Server, c *tls.Conn, _ http.Handler) {
		fmt.Fprint(c, "220 ", c.ConnectionState().NegotiatedProtocol)
	}
	for name, tt := range map[string]struct {
		srv  *http.Server
		want map[string]string // protocol that the client wants: what it gets
	}{
		"an empty map":    {&http.Server{TLSNextProto: protos{}}, map[string]string{"h2": "HTTP/1.1"}},
		"another entry":   {&http.Server{TLSNextProto: protos{"smtp": own}}, map[string]string{"h2": "HTTP/1.1", "smtp": "220 smtp"}},
		"an entry beside": {&http.Server{TLSNextProto: protos{"smtp": own}, Protocols: both}, map[string]string{"h2": "HTTP/2.0", "smtp": "220 smtp"}},
		"its own HTTP/2":  {&http.Server{TLSNextProto: protos{"h2": own}}, map[string]string{"h2": "220 h2"}},
		"left out":        {&http.Server{}, map[string]string{"h2": "HTTP/2.0", "http/1.1": "HTTP/1.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t)
			tt.srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
			tt.srv.TLSConfig = &tls.Config{NextProtos: []string{"smtp"}}
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			must(t, u.AttachTLS(tt.srv, ln, certFile, keyFile))
			must(t, u.Ready())
			for proto, want := range tt.want {
				if got := askFor(t, ln.Addr().String(), pool, proto); got != want {
					t.Errorf("a client for %s gets %s, want %s", proto, got, want)
				}
			}
		})
	}
}

// askFor asks as a client that wants the protocol, and else HTTP/1.1.
func askFor(t *testing.T, addr string, pool *x509.CertPool, proto string) string {
	t.Helper()
	config := &tls.Config{RootCAs: pool, NextProtos: []string{proto, "http/1.1"}}
	nc, err := tls.Dial("tcp", addr, config)
	must(t, err)
	defer nc.Close()
	if got := nc.ConnectionState().NegotiatedProtocol; got != "h2" && got != "http/1.1" && got != "" || proto == "h2" && got == "h2" && !speaksHTTP2(t, addr, pool) {
		must(t, nc.SetDeadline(time.Now().Add(patience)))
		b, err := io.ReadAll(nc)
		must(t, err)
		return string(b)
	}
	tr := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: proto == "h2"}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("https://" + addr)
	must(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(b)
}

// speaksHTTP2 reports whether the server's first bytes are a frame of HTTP/2's.
func speaksHTTP2(t *testing.T, addr string, pool *x509.CertPool) bool {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}})
	must(t, err)
	defer nc.Close()
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	must(t, err)
	var b [4]byte
	_, err = io.ReadFull(nc, b[:])
	must(t, err)
	return b[3] == rawhttp.FrameSettings
}

// otherTLS is a listener of TLS that is not crypto/tls's own type.
type otherTLS struct{ net.Listener }

func (l otherTLS) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return otherTLSConn{c.(*tls.Conn)}, nil
}

type otherTLSConn struct{ *tls.Conn }

// TestOtherTLS: TLS that is not crypto/tls's is served as net/http alone does it: HTTP/1 over
// it, and HTTP/2 since Go 1.27, whatever else the server speaks.
func TestOtherTLS(t *testing.T) {
	t.Parallel()
	for name, h2c := range map[string]bool{"as it is": false, "h2c on": true} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t)
			way := http2Way{tls: true, h2c: h2c, listen: func(ln net.Listener, c *tls.Config) net.Listener { return otherTLS{tls.NewListener(ln, c)} }}
			addr, config := way.attach(t, u, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.TLS == nil {
					t.Error("no TLS")
				}
				fmt.Fprint(w, r.Proto)
			})})
			must(t, u.Ready())
			if got := askFor(t, addr, config.RootCAs, "http/1.1"); got != "HTTP/1.1" {
				t.Errorf("a client for HTTP/1.1 gets %s", got)
			}
			if h2.Doors().State == nil { // net/http takes such a connection
				c := rawhttp.DialHTTP2(t, addr, config)
				c.Open(1, rawhttp.FlagEndStream)
				c.Answered(1)
				must(t, c.Conn.Close())
			}
			must(t, u.Stop(t.Context()))
		})
	}
}
