package main

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// tally is what clients of the soak's own count into: those that package load
// does not have.
type tally struct {
	row     string
	verdict *verdict
	began   time.Time

	mu  sync.Mutex
	now load.Result
}

func newTally(row string, v *verdict) *tally {
	return &tally{row: row, verdict: v, began: time.Now(),
		now: load.Result{Reasons: map[load.Reason]int{}, Served: map[load.Server]int{}}}
}

// dialed counts a connection.
func (t *tally) dialed(again bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Connects++
	if again {
		t.now.Reconnects++
	}
}

// answered counts an answer. It is of no server if it is not one to a request.
func (t *tally) answered(took time.Duration, by load.Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Requests++
	t.now.Latency.Add(took)
	if by != (load.Server{}) {
		t.now.Served[by]++
	}
}

// failed counts n requests that were lost for one reason.
func (t *tally) failed(n int, err error) {
	t.verdict.fail(checkRequests, "%s: %d lost: %v", t.row, n, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Requests += n
	t.now.Failed += n
	t.now.Reasons[load.Broken] += n
	t.now.Errors = append(t.now.Errors, err)
}

func (t *tally) result() load.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.now
	r.Elapsed = time.Since(t.began)
	r.Reasons, r.Served, r.Errors = maps.Clone(r.Reasons), maps.Clone(r.Served), slices.Clone(r.Errors)
	return r
}

// merge adds what another run has counted.
func merge(a, b load.Result) load.Result {
	a.Requests += b.Requests
	a.Failed += b.Failed
	a.Connects += b.Connects
	a.Reconnects += b.Reconnects
	a.Latency.Merge(b.Latency)
	if a.Served == nil {
		a.Served = map[load.Server]int{}
	}
	for who, n := range b.Served {
		a.Served[who] += n
	}
	return a
}
