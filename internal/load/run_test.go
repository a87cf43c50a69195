package load

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestFreshClientClosesThoughTheServerDoesNot(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	addr, _ := serveRaw(t, func(c *net.TCPConn, tag, body string) {
		echoRaw(c, tag, body)
		<-release
	})
	r := runFor(t, Config{Addr: addr, Fresh: 1}, 5)
	if r.Failed != 0 || r.Connects != r.Requests {
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
	if one.Served[echoServer] != 1 {
		t.Errorf("first snapshot changed: %v", one.Served)
	}
}

func BenchmarkRequest(b *testing.B) {
	srv := httptest.NewServer(echo)
	defer srv.Close()
	cfg := Config{Addr: srv.Listener.Addr().String()}.withDefaults()
	c := newClient(&cfg, 0, newRun())
	defer c.drop()
	b.ReportAllocs()
	for b.Loop() {
		if s := c.once(); s.Err != nil {
			b.Fatal(s.Err)
		}
	}
}
