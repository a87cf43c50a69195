package load

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// keptErrors is how many failures a Result keeps in full. The first few say what went wrong; Reasons counts the rest.
const keptErrors = 10

// Run is load under way.
type Run struct {
	start time.Time
	stop  chan struct{}
	done  sync.WaitGroup

	end    sync.Once
	result Result // valid then

	mu  sync.Mutex
	now Result
}

func newRun() *Run {
	return &Run{
		start: time.Now(), stop: make(chan struct{}),
		now: Result{Reasons: map[Reason]int{}, Served: map[Server]int{}},
	}
}

// Start sets the clients going and returns at once. That nobody listens at cfg.Addr is no error of Start: it is
// counted like every other failure.
func Start(cfg Config) *Run {
	cfg = cfg.withDefaults()
	r := newRun()
	for id := range max(cfg.Clients, 0) + max(cfg.Fresh, 0) {
		c := newClient(&cfg, id, r)
		work := c.work
		switch {
		case cfg.HTTP2:
			work = c.multiplex
		case cfg.Pipeline > 0:
			work = c.pipe
		}
		r.done.Go(work)
	}
	return r
}

// Stop lets each client finish the request that it has begun, closes the connections and returns the final count. It
// blocks for at most [Config.Timeout], and may be called more than once: the result is the same. An Observe function
// must not call it.
func (r *Run) Stop() Result {
	r.end.Do(func() {
		close(r.stop)
		r.done.Wait()
		r.result = r.Snapshot()
	})
	return r.result
}

// stopped reports whether Stop was called.
func (r *Run) stopped() bool {
	select {
	case <-r.stop:
		return true
	default:
		return false
	}
}

// wait lets d pass and reports whether it did before Stop was called.
func (r *Run) wait(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.stop:
		return false
	}
}

// Snapshot is the count so far, and shares nothing with the counting. Requests that are under way are not in it.
func (r *Run) Snapshot() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now
	now.Elapsed = time.Since(r.start)
	now.Reasons, now.Served, now.Errors = maps.Clone(now.Reasons), maps.Clone(now.Served), slices.Clone(now.Errors)
	return now
}

// add counts a request that has ended.
func (r *Run) add(s Sample, reconnected bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Requests++
	if s.Dialed {
		r.now.Connects++
	}
	if reconnected {
		r.now.Reconnects++
	}
	if s.Err == nil {
		r.now.Served[s.Server]++
		r.now.Latency.Add(s.Latency)
		return
	}
	r.now.Failed++
	if failed := (*RequestError)(nil); errors.As(s.Err, &failed) {
		r.now.Reasons[failed.Reason]++
	}
	if len(r.now.Errors) < keptErrors {
		r.now.Errors = append(r.now.Errors, s.Err)
	}
}
