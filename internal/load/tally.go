package load

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// keptErrors is how many failures a Result keeps in full. The first few say
// what went wrong; Reasons counts the rest.
const keptErrors = 10

// tally is what all clients of a run count into.
type tally struct {
	mu  sync.Mutex
	now Result
}

func newTally() *tally {
	return &tally{now: Result{Reasons: map[Reason]int{}, Served: map[Server]int{}}}
}

func (t *tally) add(s Sample, reconnected bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now.Requests++
	if s.Dialed {
		t.now.Connects++
	}
	if reconnected {
		t.now.Reconnects++
	}
	if s.Err == nil {
		t.now.Served[s.Server]++
		t.now.Latency.Add(s.Latency)
		return
	}
	t.now.Failed++
	reason := Broken
	if failure := (*RequestError)(nil); errors.As(s.Err, &failure) {
		reason = failure.Reason
	}
	t.now.Reasons[reason]++
	if len(t.now.Errors) < keptErrors {
		t.now.Errors = append(t.now.Errors, s.Err)
	}
}

// result is a copy that shares nothing with the counting.
func (t *tally) result(elapsed time.Duration) Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.now
	r.Elapsed = elapsed
	r.Reasons, r.Served, r.Errors = maps.Clone(r.Reasons), maps.Clone(r.Served), slices.Clone(r.Errors)
	return r
}
