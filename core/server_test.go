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
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// knownSettings are net/http's settings for a server that somebody has looked at: is it
// right to copy them as they are?
var knownSettings = []string{
	"Addr", "Handler", "DisableGeneralOptionsHandler", "TLSConfig", "ReadTimeout", "ReadHeaderTimeout", "WriteTimeout", "IdleTimeout",
	"MaxHeaderBytes", "TLSNextProto", "ConnState", "ErrorLog", "BaseContext", "ConnContext", "HTTP2", "Protocols",
	"MaxHeaderValueCount", "DisableClientPriority", // since Go 1.27
}

// TestNewInnerCopiesEverything fails when a Go release adds a setting to net/http's Server:
// it is copied, but that may not be enough.
func TestNewInnerCopiesEverything(t *testing.T) {
	t.Parallel()
	user := &http.Server{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}, Protocols: new(http.Protocols), HTTP2: new(http.HTTP2Config)}
	v := reflect.ValueOf(user).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		name := v.Type().Field(i).Name
		if !v.Type().Field(i).IsExported() {
			continue
		}
		if !slices.Contains(knownSettings, name) {
			t.Errorf("http.Server has a new field %s: it is copied as it is. Is that right for a server that stands for the program's (see copyOfUser), "+
				"and for the two more that HTTP/2 has (http2.go, otherserver.go)? Then add it to knownSettings", name)
		}
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i + 1))
		case reflect.String:
			f.SetString("x")
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), nil))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		case reflect.Pointer:
			if f.IsNil() {
				f.Set(reflect.New(f.Type().Elem()))
			}
		case reflect.Interface:
			f.Set(reflect.ValueOf(http.NotFoundHandler()))
		default:
			t.Fatalf("%s is of a kind that this test does not know", name)
		}
	}
	s := &server{user: user}
	inner := reflect.ValueOf(s.newInner()).Elem()
	ours := []string{"Handler", "ConnState", "BaseContext", "ConnContext"}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if !v.Type().Field(i).IsExported() {
			continue
		}
		if inner.Field(i).IsZero() {
			t.Errorf("%s is not copied", name)
		}
		if f := v.Field(i); !slices.Contains(ours, name) && f.Comparable() && !f.Equal(inner.Field(i)) {
			t.Errorf("%s is %v, want %v", name, inner.Field(i), f)
		}
	}
}

// TestTLS: a real handshake, HTTP/2 seen as HTTP/2, and a drain that lets both
// kinds of connection go at once.
func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			u := NewTest(t, WithDrainTimeout(10*time.Minute))
			ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
			must(t, err)
			must(t, u.AttachTLS(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto)
			})}, ln, certFile, keyFile))
			must(t, u.Ready())
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: proto == "HTTP/2.0"}
			defer tr.CloseIdleConnections()
			resp, err := (&http.Client{Transport: tr}).Get("https://" + ln.Addr().String())
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if string(body) != proto {
				t.Errorf("the handler saw %s", body)
			}
			ExpectOpen(t, u, Remaining{Connections: 1})
			must(t, u.Stop(t.Context())) // long before its deadline
		})
	}
}

// expectOpen waits until that is open: net/http says idle after the client has
// its answer.
func ExpectOpen(t *testing.T, u *Upgrader, want Remaining) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for u.Status().Ledger.Open != want {
		if time.Now().After(deadline) {
			t.Fatalf("open: %v, want %v", u.Status().Ledger.Open, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestBadCertificate is an error of Attach, and of Ready for whoever attaches in
// the background.
func TestBadCertificate(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	if err := u.AttachTLS(&http.Server{}, ln, "none.pem", "none.key"); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("AttachTLS = %v", err)
	}
	if err := u.Ready(); err == nil || !strings.Contains(err.Error(), "none.pem") {
		t.Errorf("Ready = %v", err)
	}
}

type ctxKey string

// TestUserSettings: what a program has set on its server works as with net/http
// alone.
func TestUserSettings(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	var mu sync.Mutex
	var states []http.ConnState
	var bases atomic.Int32
	srv := &http.Server{
		BaseContext: func(ln net.Listener) context.Context {
			bases.Add(1)
			return context.WithValue(context.Background(), ctxKey("base"), ln.Addr().String())
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			_, tcp := c.(*net.TCPConn)
			return context.WithValue(ctx, ctxKey("tcp"), tcp)
		},
		ConnState: func(c net.Conn, st http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			if _, tcp := c.(*net.TCPConn); !tcp {
				t.Errorf("ConnState sees a %T", c)
			}
			states = append(states, st)
		},
	}
	srv.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if got := ctx.Value(ctxKey("base")); got != r.Host {
			t.Errorf("BaseContext gave %v, want %v", got, r.Host)
		}
		if ctx.Value(ctxKey("tcp")) != true {
			t.Error("ConnContext did not see a *net.TCPConn")
		}
		if ctx.Value(http.ServerContextKey) != srv {
			t.Error("ServerContextKey is not the program's server")
		}
		if Draining(ctx) == nil {
			t.Error("no Draining channel")
		}
	})
	addr := u.ServeTest(t, srv)
	tr := &http.Transport{}
	resp, err := (&http.Client{Transport: tr}).Get("http://" + addr)
	must(t, err)
	must(t, resp.Body.Close())
	tr.CloseIdleConnections()
	must(t, u.Stop(t.Context()))
	if bases.Load() != 1 {
		t.Errorf("BaseContext was called %d times", bases.Load())
	}
	mu.Lock()
	defer mu.Unlock()
	want := []http.ConnState{http.StateNew, http.StateActive, http.StateIdle, http.StateClosed}
	if !slices.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

// TestShutdownByProgram: the program's own Shutdown, and Close, are a graceful
// stop of the process and return when the drain has ended.
func TestShutdownByProgram(t *testing.T) {
	t.Parallel()
	for name, shutdown := range map[string]func(*http.Server) error{
		"Shutdown": func(s *http.Server) error { return s.Shutdown(context.Background()) },
		"Close":    (*http.Server).Close,
	} {
		t.Run(name, func(t *testing.T) {
			u := NewTest(t)
			var hooks atomic.Int32
			entered, leave := make(chan struct{}), make(chan struct{})
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(entered)
				<-leave
				fmt.Fprint(w, "done")
			})}
			srv.RegisterOnShutdown(func() { hooks.Add(1) })
			addr := u.ServeTest(t, srv)
			answer := make(chan string)
			go func() {
				resp, err := http.Get("http://" + addr)
				if err != nil {
					answer <- err.Error()
					return
				}
				defer resp.Body.Close()
				b, _ := io.ReadAll(resp.Body)
				answer <- string(b)
			}()
			<-entered
			returned := make(chan error)
			go func() { returned <- shutdown(srv) }()
			<-u.Draining()
			select {
			case <-returned:
				t.Error("it returned with a request unanswered")
			default:
			}
			close(leave)
			if got := <-answer; got != "done" {
				t.Errorf("the request got %q", got)
			}
			must(t, <-returned)
			<-u.Done()
			must(t, u.Err())
			if n := hooks.Load(); name == "Shutdown" && n != 1 {
				t.Errorf("the RegisterOnShutdown hook ran %d times", n)
			}
		})
	}
}

// TestOnShutdownHooks run when the drain begins, not when it ends.
func TestOnShutdownHooks(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	told := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-told })}
	srv.RegisterOnShutdown(func() { close(told) })
	addr := u.ServeTest(t, srv)
	got := make(chan error)
	go func() {
		resp, err := http.Get("http://" + addr)
		if err == nil {
			err = resp.Body.Close()
		}
		got <- err
	}()
	for u.Status().Ledger.Open.Requests == 0 {
		time.Sleep(time.Millisecond)
	}
	must(t, u.Stop(t.Context()))
	must(t, <-got)
}

// TestForeignListeners: a listener that the program made or wrapped is served,
// its connections are counted once and drained, and TLS stays visible.
func TestForeignListeners(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}
	own := func(u *Upgrader) net.Listener {
		ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		return ln
	}
	bare := func() net.Listener {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		return ln
	}
	for name, tt := range map[string]struct {
		listen func(*Upgrader) net.Listener
		tls    bool
	}{
		"bare":            {listen: func(*Upgrader) net.Listener { return bare() }},
		"hidden":          {listen: func(*Upgrader) net.Listener { return Hiding{bare()} }},
		"hiding ours":     {listen: func(u *Upgrader) net.Listener { return Hiding{own(u)} }},
		"TLS over bare":   {listen: func(*Upgrader) net.Listener { return tls.NewListener(bare(), config) }, tls: true},
		"TLS over ours":   {listen: func(u *Upgrader) net.Listener { return tls.NewListener(own(u), config) }, tls: true},
		"TLS hiding ours": {listen: func(u *Upgrader) net.Listener { return tls.NewListener(Hiding{own(u)}, config) }, tls: true},
		"ours":            {listen: own},
	} {
		t.Run(name, func(t *testing.T) {
			u := NewTest(t)
			ln := tt.listen(u)
			must(t, u.Attach(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if (r.TLS != nil) != tt.tls {
					t.Errorf("the request's TLS state is %v", r.TLS)
				}
				fmt.Fprint(w, r.Proto)
			})}, ln))
			must(t, u.Ready())
			tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
			scheme, want := "http://", "HTTP/1.1"
			if tt.tls {
				scheme, want = "https://", "HTTP/2.0"
			}
			resp, err := (&http.Client{Transport: tr}).Get(scheme + ln.Addr().String())
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if string(body) != want {
				t.Errorf("the handler saw %s, want %s", body, want)
			}
			ExpectOpen(t, u, Remaining{Connections: 1})
			if st := u.Status().Ledger; st.Accepted != 1 || st.Served != 1 {
				t.Errorf("ledger %+v", st)
			}
			must(t, u.Stop(t.Context()))
			tr.CloseIdleConnections()
			if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
				c.Close()
				t.Error("the listener is still open after the stop")
			}
		})
	}
}

// TestNothingBeforeReady: whatever the listener is, a request waits for Ready.
func TestNothingBeforeReady(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]bool{"with a descriptor": false, "without": true} {
		t.Run(name, func(t *testing.T) {
			u := NewTest(t)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			if hide {
				ln = Hiding{ln}
			}
			must(t, u.Attach(&http.Server{Handler: http.NotFoundHandler()}, ln))
			c, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			defer c.Close()
			_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app\r\n\r\n")
			must(t, err)
			// Too short a wait could only hide a fault, never invent one.
			must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("before Ready: %v", err)
			}
			must(t, u.Ready())
			must(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err = c.Read(make([]byte, 1))
			must(t, err)
		})
	}
}

// hiding is a listener whose connections show nothing of what they wrap.
type Hiding struct{ net.Listener }

func (h Hiding) Accept() (net.Conn, error) {
	c, err := h.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{c}, nil
}

// TestFarewell: which answers of a draining generation say that the connection
// ends. In HTTP/2 net/http makes GOAWAY of it, for connections that Shutdown
// can't reach, too.
func TestFarewell(t *testing.T) {
	t.Parallel()
	u := &Upgrader{conns: conns.NewTable(nil), phase: newPhase()}
	s := &server{u: u, handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	for _, draining := range []bool{false, true} {
		u.phase.asksToLeave.Store(draining)
		for upgrade, want := range map[string]bool{"": true, "h2c": true, "websocket": false} {
			for _, major := range []int{1, 2} {
				for _, known := range []bool{true, false} { // false: the program's ConnContext threw the value away
					r := httptest.NewRequest(http.MethodGet, "/", nil)
					r.ProtoMajor = major
					if upgrade != "" {
						r.Header.Set("Upgrade", upgrade)
					}
					if known {
						r = r.WithContext(context.WithValue(r.Context(), connKey{}, u.conns.Track(struct{ net.Conn }{}, nil, conns.New)))
					}
					w := httptest.NewRecorder()
					s.ServeHTTP(w, r)
					if got := w.Header().Get("Connection") == "close"; got != (want && draining) {
						t.Errorf("draining %v, HTTP/%d, Upgrade %q: close %v", draining, major, upgrade, got)
					}
				}
			}
		}
	}
}

// TestUpgradeHeader: a response to a WebSocket handshake is not told to close.
func TestUpgradeHeader(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	addr := u.ServeTest(t, &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" && len(w.Header()["Connection"]) != 0 {
			t.Errorf("Connection: %q on a handshake", w.Header()["Connection"])
		}
	})})
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	ask := func(path, header string) *http.Response {
		_, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: app\r\n%s\r\n", path, header)
		must(t, err)
		resp, err := http.ReadResponse(r, nil)
		must(t, err)
		return resp
	}
	ask("/", "")
	stopped := make(chan error)
	go func() { stopped <- u.Stop(context.Background()) }()
	<-u.Draining()
	if resp := ask("/ws", "Connection: Upgrade\r\nUpgrade: test\r\n"); resp.Close {
		t.Error("the handshake's answer closes")
	}
	if resp := ask("/", ""); !resp.Close {
		t.Error("the next answer does not close")
	}
	must(t, <-stopped)
}

// TestFarewellComesLast: as long as a listener is open nobody is asked to come back,
// neither by an answer nor by the channel of Draining.
func TestFarewellComesLast(t *testing.T) {
	t.Parallel()
	for _, state := range []State{StateStopping, StateDraining} {
		synctest.Test(t, func(t *testing.T) {
			u := &Upgrader{log: slog.New(slog.DiscardHandler), boot: &startup{}, phase: newPhase()}
			u.conns = conns.NewTable(u.phase.goodbye)
			ln := slowToClose{release: make(chan struct{})}
			l, err := newListener(ln, -1, "tcp", "here")
			must(t, err)
			l.bind(u)
			lc := newLifecycle(u)
			go lc.beginDrain(state)
			synctest.Wait()
			time.Sleep(timing.Close / 2) // past the sweep
			if u.phase.asksToLeave.Load() || isClosed(u.Draining()) {
				t.Errorf("%v: told to leave while the listener is open", state)
			}
			close(ln.release)
			synctest.Wait()
			if !u.phase.asksToLeave.Load() || !isClosed(u.Draining()) {
				t.Errorf("%v: not told to leave once the listener is closed", state)
			}
			<-lc.drained
		})
	}
}

// slowToClose is a listener whose Close waits.
type slowToClose struct {
	net.Listener
	release chan struct{}
}

func (l slowToClose) Close() error {
	<-l.release
	return nil
}

func (l slowToClose) Addr() net.Addr { return &net.TCPAddr{} }
