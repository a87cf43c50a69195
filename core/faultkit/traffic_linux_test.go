package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// TestTrafficTellsLostFromDied: a request that fails is lost, but for one on a
// connection of a process that was killed, once for each of them.
func TestTrafficTellsLostFromDied(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var cut []netip.AddrPort
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(cut) < 3 {
			cut = append(cut, netip.MustParseAddrPort(r.RemoteAddr))
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	at, err := newTarget(srv.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	tr := startTraffic(at, false)
	for limit := time.Now().Add(20 * time.Second); !tr.flowing() && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	mu.Lock()
	tr.excuse(map[netip.AddrPort]bool{cut[0]: true, cut[2]: true})
	mu.Unlock()
	if c := tr.stop(); len(c.lost) != 1 || c.died != 2 || c.requests <= 3 {
		t.Errorf("%+v", c)
	}
}
