package load

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestKeepAliveClientsKeepTheirConnection(t *testing.T) {
	t.Parallel()
	r := runFor(t, Config{Addr: serve(t, echo), Clients: 4}, 400)
	if r.Failed != 0 || r.Connects != 4 || r.Reconnects != 0 {
		t.Errorf("want 0 failed over 4 connections, got %v", r)
	}
	if got := r.Served[Server{PID: "7", Generation: "2"}]; got != r.Requests || len(r.Served) != 1 {
		t.Errorf("served %v, want all %d requests by pid 7 of generation 2", r.Served, r.Requests)
	}
	if r.Latency.Count() != r.Requests || r.Latency.Max() <= 0 {
		t.Errorf("%d latencies with a maximum of %v for %d requests", r.Latency.Count(), r.Latency.Max(), r.Requests)
	}
}

func TestFreshClientsConnectForEachRequest(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Close {
			asked.Add(1)
		}
		echo(w, r)
	}))
	r := runFor(t, Config{Addr: addr, Fresh: 3}, 60)
	if r.Failed != 0 || r.Connects != r.Requests || r.Reconnects != 0 {
		t.Errorf("want 0 failed and a connection each, got %v", r)
	}
	if int(asked.Load()) != r.Requests {
		t.Errorf("%d of %d requests said Connection: close", asked.Load(), r.Requests)
	}
}

func TestFreshClientClosesThoughTheServerDoesNot(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	addr, _ := serveRaw(t, func(c *net.TCPConn, body string) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		<-release
	})
	r := runFor(t, Config{Addr: addr, Fresh: 1}, 5)
	if r.Failed != 0 || r.Connects != r.Requests {
		t.Error(r)
	}
}

func TestNoTwoBodiesAreEqual(t *testing.T) {
	t.Parallel()
	var seen sync.Map
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if _, twice := seen.LoadOrStore(string(body), true); twice {
			t.Errorf("body came twice: %q", body)
		}
		w.Write(body)
	}))
	for range 2 {
		if r := runFor(t, Config{Addr: addr, Clients: 2, Fresh: 1, BodySize: 1}, 20); r.Failed != 0 {
			t.Error(r)
		}
	}
}

func TestBothKindsTogether(t *testing.T) {
	t.Parallel()
	var dialed [4]atomic.Int64
	var ended [4]atomic.Int64
	r := runFor(t, Config{Addr: serve(t, echo), Clients: 2, Fresh: 2, Observe: func(s Sample) {
		ended[s.Client].Add(1)
		if s.Dialed {
			dialed[s.Client].Add(1)
		}
		if s.Dialed == s.Reused || s.Err != nil || s.Latency <= 0 || s.Server.PID != "7" {
			t.Errorf("sample %+v", s)
		}
	}}, 200)
	for id := range ended {
		want := int64(1)
		if id >= 2 {
			want = ended[id].Load()
		}
		if dialed[id].Load() != want {
			t.Errorf("client %d dialed %d times, want %d", id, dialed[id].Load(), want)
		}
	}
	if r.Failed != 0 {
		t.Error(r)
	}
}

func TestConnectionCloseIsObeyedAndNoFailure(t *testing.T) {
	t.Parallel()
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		echo(w, r)
	}))
	r := runFor(t, Config{Addr: addr}, 20)
	if r.Failed != 0 || r.Connects != r.Requests || r.Reconnects != r.Requests-1 {
		t.Errorf("want 0 failed and a connection each, got %v", r)
	}
}

func TestRequestIsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	bodies := map[int64]bool{}
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		bodies[r.ContentLength] = true
		if r.Method != http.MethodGet || r.RequestURI != "/x?d=0s" {
			t.Errorf("%s %s", r.Method, r.RequestURI)
		}
		echo(w, r)
	}))
	// More than net/http buffers, so that the answer comes in chunks.
	r := runFor(t, Config{Addr: addr, Clients: 2, Method: http.MethodGet, Path: "/x?d=0s", BodySize: 10_000}, 20)
	if r.Failed != 0 || len(bodies) != 1 || !bodies[10_000] {
		t.Errorf("body lengths %v: %v", bodies, r)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("no unix sockets on this system: %v", err)
	}
	srv := &http.Server{Handler: echo}
	t.Cleanup(func() { srv.Close() })
	go srv.Serve(ln)
	if r := runFor(t, Config{Network: "unix", Addr: path, Clients: 1, Fresh: 1}, 20); r.Failed != 0 {
		t.Error(r)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(echo)
	srv.EnableHTTP2 = true // offered by the server, not wanted by the client
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	trust := srv.Client().Transport.(*http.Transport).TLSClientConfig
	cfg := Config{Addr: srv.Listener.Addr().String(), Clients: 1, Fresh: 1, TLS: trust}
	if r := runFor(t, cfg, 20); r.Failed != 0 {
		t.Error(r)
	}
	cfg.TLS = &tls.Config{}
	wantFailures(t, runFor(t, cfg, 2), NotConnected, "certificate")
}

func TestStopFinishesWhatHasBegun(t *testing.T) {
	t.Parallel()
	const clients = 3
	arrived, release := make(chan struct{}, clients), make(chan struct{})
	var served atomic.Int64
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		served.Add(1)
		echo(w, r)
	}))
	run := Start(Config{Addr: addr, Clients: clients})
	for range clients {
		<-arrived
	}
	stopped := make(chan Result)
	go func() { stopped <- run.Stop() }()
	<-run.stop // Stop has begun
	select {
	case r := <-stopped:
		t.Fatalf("stopped with %d requests under way: %v", clients, r)
	default:
	}
	close(release)
	r := <-stopped
	if r.Requests != clients || r.Failed != 0 || served.Load() != clients {
		t.Errorf("server answered %d, want %d: %v", served.Load(), clients, r)
	}
	if again := run.Stop(); again.Requests != r.Requests || again.Elapsed != r.Elapsed {
		t.Errorf("second Stop says %v, first said %v", again, r)
	}
}

func TestStopEndsThinking(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	r := runFor(t, Config{Addr: serve(t, echo), Clients: 2, Think: time.Hour}, 2)
	if r.Requests != 2 || time.Since(begin) > time.Minute {
		t.Error(r)
	}
}

func TestSnapshotIsIndependent(t *testing.T) {
	t.Parallel()
	step, proceed := make(chan struct{}), make(chan struct{})
	run := Start(Config{Addr: serve(t, echo), Observe: func(Sample) { step <- struct{}{}; <-proceed }})
	<-step
	one := run.Snapshot()
	proceed <- struct{}{}
	<-step
	two := run.Snapshot()
	go run.Stop()
	<-run.stop
	close(proceed)
	if r := run.Stop(); one.Requests != 1 || two.Requests != 2 || r.Requests != 2 {
		t.Errorf("snapshots of %d and %d requests, then %v", one.Requests, two.Requests, r)
	}
	if one.Latency.Count() != 1 || two.Latency.Since(one.Latency).Count() != 1 {
		t.Errorf("latencies %d and %d", one.Latency.Count(), two.Latency.Count())
	}
	if one.Served[Server{"7", "2"}] != 1 {
		t.Errorf("first snapshot changed: %v", one.Served)
	}
}

func BenchmarkRequest(b *testing.B) {
	srv := httptest.NewServer(echo)
	defer srv.Close()
	cfg := Config{Addr: srv.Listener.Addr().String()}.withDefaults()
	c := newClient(&cfg, 0, newTally())
	defer c.drop()
	b.ReportAllocs()
	for b.Loop() {
		s := c.once()
		c.tally.add(s, false)
		if s.Err != nil {
			b.Fatal(s.Err)
		}
	}
}
