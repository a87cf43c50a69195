package core_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// fetched is what became of a request.
type fetched struct {
	body string
	err  error
}

func fetch(tr *http.Transport, url string) fetched {
	resp, err := (&http.Client{Transport: tr}).Get(url)
	if err != nil {
		return fetched{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return fetched{string(b), err}
}

// beginFetch asks in the background.
func beginFetch(addr string) <-chan fetched {
	done := make(chan fetched, 1)
	go func() { done <- fetch(http.DefaultTransport.(*http.Transport), "http://"+addr) }()
	return done
}

// beginStop has the drain of a stop begin.
func beginStop(u *core.Upgrader) (stopped <-chan error) {
	done := make(chan error, 1)
	go func() { done <- u.Stop(context.Background()) }()
	<-u.Draining()
	return done
}

// expectWaits checks that a call has not returned.
func expectWaits(t *testing.T, returned <-chan error) {
	t.Helper()
	select {
	case err := <-returned:
		t.Fatalf("it has returned %v", err)
	default:
	}
}

// TestServe_AnyListener: one that the program made or wrapped is served, its connections are counted once and
// drained at once, and TLS and HTTP/2 stay visible.
func TestServe_AnyListener(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	own := func(u *core.Upgrader) net.Listener { return u.ListenTest(t) }
	bare := func(*core.Upgrader) net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		return ln
	}
	type listen = func(*core.Upgrader) net.Listener
	hiding := func(l listen) listen {
		return func(u *core.Upgrader) net.Listener { return core.Hiding{Listener: l(u)} }
	}
	overTLS := func(l listen) listen {
		return func(u *core.Upgrader) net.Listener { return tls.NewListener(l(u), config) }
	}
	for name, tt := range map[string]struct {
		listen listen
		attach bool   // AttachTLS
		want   string // HTTP/2 if the client speaks TLS and can
	}{
		"bare":                  {bare, false, "HTTP/1.1"},
		"hidden":                {hiding(bare), false, "HTTP/1.1"},
		"hiding ours":           {hiding(own), false, "HTTP/1.1"},
		"TLS over bare":         {overTLS(bare), false, "HTTP/2.0"},
		"TLS over ours":         {overTLS(own), false, "HTTP/2.0"},
		"TLS hiding ours":       {overTLS(hiding(own)), false, "HTTP/2.0"},
		"ours":                  {own, false, "HTTP/1.1"},
		"our TLS over HTTP/2":   {own, true, "HTTP/2.0"},
		"our TLS over HTTP/1.1": {own, true, "HTTP/1.1"},
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t, core.WithDrainTimeout(10*time.Minute))
			scheme, http2 := "http://", tt.want == "HTTP/2.0"
			if http2 || tt.attach {
				scheme = "https://"
			}
			ln := tt.listen(u)
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				expectEqual(t, "the handler sees TLS", r.TLS != nil, scheme == "https://")
				fmt.Fprint(w, r.Proto)
			})}
			if tt.attach {
				must(t, u.AttachTLS(srv, ln, certFile, keyFile))
			} else {
				must(t, u.Attach(srv, ln))
			}
			must(t, u.Ready())
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: http2}
			defer tr.CloseIdleConnections()
			expectEqual(t, "the handler saw", fetch(tr, scheme+ln.Addr().String()), fetched{tt.want, nil})
			core.ExpectOpen(t, u, core.Remaining{Connections: 1})
			expectEqual(t, "accepted", u.Status().Ledger.Accepted, 1)
			expectEqual(t, "served", u.Status().Ledger.Served, 1)
			must(t, u.Stop(t.Context())) // long before its deadline
			tr.CloseIdleConnections()
			if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
				c.Close()
				t.Error("the listener is still open after the stop")
			}
		})
	}
}

// TestAttachTLS_BadCertificateIsAnError of it, and of Ready for whoever attaches in the background.
func TestAttachTLS_BadCertificateIsAnError(t *testing.T) {
	t.Parallel()
	u := core.NewTest(t)
	expectError(t, u.AttachTLS(&http.Server{}, u.ListenTest(t), "none.pem", "none.key"), "none.pem")
	expectError(t, u.Ready(), "none.pem")
}

// TestServe_SettingsOfTheServerHold as with net/http alone.
func TestServe_SettingsOfTheServerHold(t *testing.T) {
	t.Parallel()
	type ctxKey string
	u := core.NewTest(t)
	var mu sync.Mutex
	var states []http.ConnState
	closed := make(chan struct{}) // net/http says so after it has closed the connection, so perhaps after the stop
	var bases atomic.Int32
	srv := &http.Server{
		BaseContext: func(ln net.Listener) context.Context {
			bases.Add(1)
			return context.WithValue(context.Background(), ctxKey("base"), ln.Addr().String())
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, ctxKey("conn"), fmt.Sprintf("%T", c))
		},
		ConnState: func(c net.Conn, st http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			expectEqual(t, "ConnState sees", fmt.Sprintf("%T", c), "*net.TCPConn")
			if states = append(states, st); st == http.StateClosed {
				close(closed)
			}
		},
	}
	srv.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		expectEqual(t, "BaseContext gave", ctx.Value(ctxKey("base")), any(r.Host))
		expectEqual(t, "ConnContext saw", ctx.Value(ctxKey("conn")), any("*net.TCPConn"))
		expectEqual(t, "ServerContextKey is", ctx.Value(http.ServerContextKey), any(srv))
		expectEqual(t, "there is a Draining channel", core.Draining(ctx) != nil, true)
	})
	tr := &http.Transport{}
	must(t, fetch(tr, "http://"+u.ServeTest(t, srv)).err)
	tr.CloseIdleConnections()
	must(t, u.Stop(t.Context()))
	<-closed
	expectEqual(t, "calls of BaseContext", bases.Load(), 1)
	mu.Lock()
	defer mu.Unlock()
	want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed}
	if !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

// TestShutdown_OfTheProgramIsAStop, and so is Close: they are graceful, and return when the drain has ended.
// RegisterOnShutdown's hooks run when it begins, whoever stops the process.
func TestShutdown_OfTheProgramIsAStop(t *testing.T) {
	t.Parallel()
	for name, shutdown := range map[string]func(*core.Upgrader, *http.Server) error{
		"Shutdown": func(_ *core.Upgrader, s *http.Server) error { return s.Shutdown(context.Background()) },
		"Close":    func(_ *core.Upgrader, s *http.Server) error { return s.Close() },
		"Stop":     func(u *core.Upgrader, _ *http.Server) error { return u.Stop(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t)
			var hooks atomic.Int32
			entered, leave := make(chan struct{}), make(chan struct{})
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(entered)
				<-leave
				fmt.Fprint(w, "done")
			})}
			srv.RegisterOnShutdown(func() { hooks.Add(1) })
			answer := beginFetch(u.ServeTest(t, srv))
			<-entered
			returned := make(chan error)
			go func() { returned <- shutdown(u, srv) }()
			<-u.Draining()
			if name != "Close" {
				proctest.Await(t, "the hook has run", func() bool { return hooks.Load() > 0 })
			}
			expectWaits(t, returned)
			close(leave)
			expectEqual(t, "the request got", <-answer, fetched{"done", nil})
			must(t, <-returned)
			<-u.Done()
			must(t, u.Err())
			if name != "Close" {
				expectEqual(t, "runs of the hook", hooks.Load(), 1)
			}
		})
	}
}

// TestReady_NothingIsAnsweredBefore, whatever the listener is.
func TestReady_NothingIsAnsweredBefore(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]bool{"with a descriptor": false, "without a descriptor": true} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			if hide {
				ln = core.Hiding{Listener: ln}
			}
			must(t, u.Attach(&http.Server{}, ln))
			c := rawhttp.Dial(t, ln.Addr().String())
			c.Ask("/")
			// Too short a wait could only hide a fault, never invent one.
			must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			_, err = c.Read(make([]byte, 1))
			expectIs(t, "before Ready", err, os.ErrDeadlineExceeded)
			must(t, u.Ready())
			must(t, c.SetReadDeadline(time.Now().Add(patience)))
			c.Answer()
		})
	}
}
