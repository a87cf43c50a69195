package main

import (
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

const (
	// requestTime is longer than the longest stop, with all that follows.
	requestTime = 40 * time.Second
	// How long clients pause: there is to be load, and time for the processes. Those
	// that connect anew leave a socket behind for each time, which /proc lists. Some
	// have connections that are mostly idle, of which a share moves in a probation.
	thinking   = 2 * time.Millisecond
	connecting = 15 * time.Millisecond
	idling     = 60 * time.Millisecond
	// uploadPause and headPause make requests that take half a second.
	uploadPause = 70 * time.Millisecond
	headPause   = 500 * time.Millisecond
)

// traffic is the load on one program while one fault is tried, by clients that repeat nothing.
type traffic struct {
	runs []*load.Run

	mu     sync.Mutex
	failed []load.Sample
	died   map[string]bool // clients' ends of connections that a killed process had
}

// counts is what became of the requests.
type counts struct {
	requests int
	died     int // of those that failed, on connections of a killed process
	lost     []error
}

// startTraffic sets clients going. Those of the kit's own server post besides, and check that each
// answer is their own.
func startTraffic(t *target, own bool) *traffic {
	tr := &traffic{died: map[string]bool{}}
	start := func(cfg load.Config) {
		cfg.Addr, cfg.Path, cfg.TLS = t.addr, t.path, t.tls
		cfg.Timeout, cfg.Observe = requestTime, tr.observe
		tr.runs = append(tr.runs, load.Start(cfg))
	}
	for _, cfg := range []load.Config{
		{Clients: 2, Think: thinking},
		{Fresh: 3, Think: connecting},
		{Clients: 10, Think: idling},
		{Clients: 1, Fresh: 1, BodyPause: uploadPause},
	} {
		if own {
			start(cfg)
		}
		if cfg.BodyPause > 0 {
			cfg.HeadPause = headPause // it has no body
		}
		cfg.Any, cfg.Method = true, http.MethodGet
		start(cfg)
	}
	return tr
}

func (tr *traffic) observe(s load.Sample) {
	if s.Err == nil {
		return
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.failed = append(tr.failed, s)
}

// excuse names connections that a process had which was killed.
func (tr *traffic) excuse(clients map[string]bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	maps.Copy(tr.died, clients)
}

// flowing reports whether every kind of client has had an answer.
func (tr *traffic) flowing() bool {
	for _, run := range tr.runs {
		if r := run.Snapshot(); r.Requests == r.Failed {
			return false
		}
	}
	return true
}

// stop lets the clients end and counts.
func (tr *traffic) stop() (c counts) {
	stopAll(tr.runs)
	for _, run := range tr.runs {
		c.requests += run.Stop().Requests
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, s := range tr.failed {
		if client := endOf(s.Local); tr.died[client] {
			delete(tr.died, client) // the next connection from this port is another one
			c.died++
			continue
		}
		c.lost = append(c.lost, s.Err)
	}
	return c
}

// stopAll lets all clients finish what they have begun.
func stopAll(runs []*load.Run) {
	var wg sync.WaitGroup
	for _, run := range runs {
		wg.Go(func() { run.Stop() })
	}
	wg.Wait()
}
