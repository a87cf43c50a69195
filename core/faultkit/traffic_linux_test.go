package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// TestTrafficTellsLostFromDied: a request that fails is lost, but for one on a
// connection of a process that was killed, once for each of them.
func TestTrafficTellsLostFromDied(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var cut []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(cut) < 3 {
			client, _ := net.ResolveTCPAddr("tcp", r.RemoteAddr)
			cut = append(cut, endOf(client))
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	at, err := newTarget(srv.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	tr := startTraffic(at, false)
	if err := within(context.Background(), 20*time.Second, tr.flowing); err != nil {
		t.Error(err)
	}
	mu.Lock()
	tr.excuse(map[string]bool{cut[0]: true, cut[2]: true})
	mu.Unlock()
	if c := tr.stop(); len(c.lost) != 1 || c.died != 2 || c.requests <= 3 {
		t.Errorf("%+v", c)
	}
}
