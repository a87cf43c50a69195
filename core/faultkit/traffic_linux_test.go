package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// TestTrafficTellsLostFromDied: a request that fails is lost, but for one on a
// connection of a process that was killed, once for each of them.
func TestTrafficTellsLostFromDied(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var cut []tcpConn
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(cut) < 3 {
			client, _ := net.ResolveTCPAddr("tcp", r.RemoteAddr)
			cut = append(cut, tcpConn{addrPort(client), addrPort(r.Context().Value(http.LocalAddrContextKey).(net.Addr))})
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	at, err := newTarget(srv.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	tr := startTraffic(at, false, false)
	if err := within(context.Background(), 20*time.Second, tr.flowing); err != nil {
		t.Error(err)
	}
	mu.Lock()
	tr.excuse(map[tcpConn]bool{cut[0]: true, cut[2]: true})
	mu.Unlock()
	if c := tr.stop(); len(c.lost) != 1 || c.died != 2 || c.requests <= 3 {
		t.Errorf("%+v", c)
	}
}

// TestTrafficJudges: all requests on a connection of HTTP/2 or a WebSocket die with the process, and none of the next
// connection with the same ends, nor of one from the same port to another server.
func TestTrafficJudges(t *testing.T) {
	t.Parallel()
	local, remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}
	killed := time.Now()
	on := func(run, client int, dialed bool, start time.Duration, reason load.Reason) failure {
		return failure{run, load.Sample{
			Client: client, Local: local, Remote: remote, Dialed: dialed, Start: killed.Add(start),
			Err: &load.RequestError{Reason: reason},
		}}
	}
	elsewhere := on(1, 2, false, -1, load.NoAnswer)
	elsewhere.Remote = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2), Port: 80}
	tr := &traffic{died: map[tcpConn]time.Time{{addrPort(local), addrPort(remote)}: killed}, failed: []failure{
		on(1, 2, false, -2, load.NoAnswer), on(1, 2, true, -3, load.NoAnswer), on(1, 2, false, 1, load.Reset), // on one connection
		on(1, 2, true, 1, load.NoAnswer), on(1, 3, false, 1, load.NoAnswer), on(2, 2, false, 1, load.NoAnswer), // on others
		on(2, 2, false, 1, load.Left),
		elsewhere,
	}}
	var c counts
	tr.judge(&c)
	if c.died != 3 || len(c.lost) != 4 || c.left != 1 {
		t.Errorf("%+v", c)
	}
}

func TestObserver(t *testing.T) {
	t.Parallel()
	v := newVerdict(t.Output())
	m := &mix{verdict: v}
	observe := m.observer("test", leaves, 2)
	answer := func(client int, generation string, dialed bool) {
		observe(load.Sample{Client: client, Dialed: dialed, Server: load.Server{Generation: generation}})
	}
	answer(0, "0", true)
	answer(1, "1", true)
	answer(0, "0", false)
	answer(0, "2", true)
	if v.err() != nil || len(m.returns) != 0 {
		t.Errorf("%v, %v", m.returns, v.err())
	}
	answer(1, "0", false)
	answer(0, "2", true)
	answer(0, "", false)
	m.observer("test, "+hijacked.Name, keeps, 1)(load.Sample{})
	observe(load.Sample{Err: errors.New("lost")})
	if v.found[checkOrder] != 1 || len(m.returns) != 1 || v.found[checkRequests] != 2 {
		t.Errorf("%v, %v", m.returns, v.err())
	}
}
