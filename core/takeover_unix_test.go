//go:build unix

package core

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestLend_CostsARequestNoAllocation, and no takeover is used for two requests.
func TestLend_CostsARequestNoAllocation(t *testing.T) {
	s, w, r := new(server), httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	if n := testing.AllocsPerRun(100, func() { s.lend(w, r).end() }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
	seen := make(map[*takeover]bool)
	for range 3 * takeoverBlock {
		v := s.lend(w, r)
		if seen[v] {
			t.Fatal("a second request has it")
		}
		seen[v] = true
		v.end()
	}
}

// TestTakeover_DoesNothingAfterTheHandler: a goroutine that the handler left behind must not reach another request.
func TestTakeover_DoesNothingAfterTheHandler(t *testing.T) {
	w := httptest.NewRecorder()
	v := new(server).lend(w, httptest.NewRequest(http.MethodGet, "/", nil))
	v.Header().Set("A", "b")
	v.end()
	v.Header().Set("C", "d")
	v.WriteHeader(http.StatusTeapot)
	v.Flush()
	for what, err := range map[string]error{
		"Write":       errOf(v.Write([]byte("x"))),
		"WriteString": errOf(v.WriteString("x")),
		"ReadFrom":    errOf(v.ReadFrom(strings.NewReader("x"))),
	} {
		if !errors.Is(err, errOver) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err := v.Hijack()
	expectError(t, err, errOver)
	if len(w.Header()) != 1 || w.Body.Len() > 0 || w.Flushed {
		t.Errorf("the request got %v, %q", w.Header(), w.Body)
	}
}

func errOf[T any](_ T, err error) error { return err }

// TestKeepAlives_CanBeRead with this Go release. If it fails SetKeepAlivesEnabled has no effect: see keepalives.go.
func TestKeepAlives_CanBeRead(t *testing.T) { must(t, canReadKeepAlives()) }

// TestBaseContext_GetsANetListener where core opens it, as from net/http's ListenAndServe.
func TestBaseContext_GetsANetListener(t *testing.T) {
	t.Parallel()
	var got net.Listener
	srv := &http.Server{Addr: "127.0.0.1:0", BaseContext: func(ln net.Listener) context.Context {
		got = ln
		return context.Background()
	}}
	u := NewTest(t, AlsoServeServer(srv))
	must(t, u.Ready())
	tcp, ok := got.(*net.TCPListener)
	if !ok {
		t.Fatalf("a %T", got)
	}
	expectEqual(t, "its address", tcp.Addr().String(), u.servers.all()[0].ln.Addr().String())
	must(t, tcp.Close()) // of the only one: the service stops
	<-u.Done()
}

// unhashable is a connection with TLS of a type that is no key of a map.
type unhashable struct {
	withTLS
	_ []int
}

type withTLS struct {
	net.Conn
	connectionStater
}

type noTLS struct{}

func (noTLS) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

// TestAcceptor_ConnectionsOfAnyType are served, and leave the table.
func TestAcceptor_ConnectionsOfAnyType(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"with TLS": func(c net.Conn) net.Conn { return unhashable{withTLS: withTLS{Conn: c, connectionStater: noTLS{}}} },
		"plain": func(c net.Conn) net.Conn {
			return struct {
				net.Conn
				_ []int
			}{Conn: c}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			u := NewTest(t)
			sees := make(chan net.Conn, 8)
			must(t, u.Attach(&http.Server{
				Handler:   http.NotFoundHandler(),
				ConnState: func(c net.Conn, _ http.ConnState) { sees <- c },
			}, wrapping{ln, wrap}))
			must(t, u.Ready())
			c := rawhttp.Dial(t, ln.Addr().String())
			c.Ask("/")
			c.Answer()
			if _, ours := (<-sees).(*unlike); ours {
				t.Error("ConnState sees core's")
			}
			must(t, c.Close())
			proctest.Await(t, "it is gone", func() bool { return u.remaining().Connections == 0 })
		})
	}
}

type wrapping struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(c), nil
}

// TestHijack_WithABody: it is a *conns.Conn, its close is seen, and it is the program's to hand off.
func TestHijack_WithABody(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	hijacked := make(chan net.Conn, 1)
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		must(t, err)
		b := make([]byte, 2)
		_, err = io.ReadFull(rw, b) // the handler has the connection, and no request has a body any more
		expectEqual(t, "body "+string(b), err, nil)
		hijacked <- c
	})})
	c := rawhttp.Dial(t, addr)
	_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
	must(t, err)
	nc := <-hijacked
	_, tcp := nc.(*conns.Conn).NetConn().(*net.TCPConn)
	expectEqual(t, "NetConn is the one of ConnState", tcp, true)
	ExpectOpen(t, u, Remaining{Hijacked: 1})
	must(t, nc.Close())
	ExpectOpen(t, u, Remaining{})
}

// TestHijackHTTP2_WarnsOnce where it can't be followed, behind TLS, and says what to do, unless the program has done it.
func TestHijackHTTP2_WarnsOnce(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	own := map[string]func(*http.Server, *tls.Conn, http.Handler){"h2": func(*http.Server, *tls.Conn, http.Handler) {}}
	for name, tt := range map[string]struct {
		protos   map[string]func(*http.Server, *tls.Conn, http.Handler)
		warnings int
	}{
		"plain":                 {nil, 1},
		"http2.ConfigureServer": {own, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var log procgroup.Output
			u := NewTest(t, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			ln := u.ListenTest(t)
			must(t, u.AttachTLS(&http.Server{TLSNextProto: tt.protos, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				must(t, err)
				_, std := c.(*tls.Conn)
				fmt.Fprint(c, r.Method, std)
				must(t, c.Close())
			})}, ln, certFile, keyFile))
			must(t, u.Ready())
			for range 2 {
				c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{RootCAs: pool})
				must(t, err)
				_, err = io.WriteString(c, h2.Preface)
				must(t, err)
				b, err := io.ReadAll(c)
				must(t, err)
				expectEqual(t, "the handler gets", string(b), "PRItrue")
				must(t, c.Close())
			}
			for _, want := range []string{"Protocols.SetUnencryptedHTTP2(true)", "http2.ConfigureServer"} {
				expectEqual(t, want, strings.Count(log.String(), want), tt.warnings)
			}
			expectEqual(t, "counted", u.Status().Ledger.HijackedHTTP2, 2)
		})
	}
}

// TestHijackHTTP2_IsFollowed: what the client has sent behind its preface is there, the table knows the connection until
// it is closed, and counts what is open and answered on it. Its type and what it says of the socket are as documented.
func TestHijackHTTP2_IsFollowed(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	type taken struct {
		net.Conn
		rw *bufio.ReadWriter
	}
	got, over := make(chan taken, 1), make(chan struct{})
	t.Cleanup(func() { close(over) })
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		must(t, err)
		got <- taken{c, rw}
		<-over
	})})
	c := rawhttp.Dial(t, addr)
	// SETTINGS, and a request on stream 1, with the preface.
	frames := "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x03\x01\x05\x00\x00\x00\x01\x82\x86\x84"
	c.Send(h2.Preface + frames)
	nc := <-got
	_, tcp := nc.Conn.(interface{ NetConn() net.Conn }).NetConn().(*net.TCPConn)
	expectEqual(t, "NetConn is the one of ConnState", tcp, true)
	want := "SM\r\n\r\n" + frames
	b := make([]byte, len(want))
	_, err := io.ReadFull(nc.rw, b[:8])
	must(t, err)
	_, err = io.ReadFull(nc.rw, b[8:])
	must(t, err)
	expectEqual(t, "it reads", string(b), want)
	ExpectOpen(t, u, Remaining{Requests: 1, Hijacked: 1})
	answer := "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x88"
	_, err = nc.rw.WriteString(answer)
	must(t, err)
	must(t, nc.rw.Flush())
	_, err = io.ReadFull(c.Reader, b[:len(answer)])
	must(t, err)
	expectEqual(t, "the client reads", string(b[:len(answer)]), answer)
	ExpectOpen(t, u, Remaining{Hijacked: 1})
	expectEqual(t, "served", u.Status().Ledger.Served, 1)
	must(t, nc.Close())
	ExpectOpen(t, u, Remaining{})
	expectEnd(t, c, "the client's end")
}
