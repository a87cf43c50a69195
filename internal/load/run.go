package load

import (
	"sync"
	"time"
)

// Run is load under way.
type Run struct {
	start time.Time
	tally *tally
	stop  chan struct{}
	done  sync.WaitGroup

	end    sync.Once
	result Result
}

// Start sets the clients going and returns at once. That nobody listens at
// cfg.Addr is no error of Start: it is counted like every other failure.
func Start(cfg Config) *Run {
	cfg = cfg.withDefaults()
	r := &Run{start: time.Now(), tally: newTally(), stop: make(chan struct{})}
	for id := range max(cfg.Clients, 0) + max(cfg.Fresh, 0) {
		c := newClient(&cfg, id, r.tally)
		work := c.run
		switch {
		case cfg.HTTP2:
			work = c.multiplex
		case cfg.Pipeline > 0:
			work = c.pipe
		}
		r.done.Go(func() { work(r.stop) })
	}
	return r
}

// Stop lets each client finish the request that it has begun, closes the
// connections and returns the final count. It blocks for at most
// [Config.Timeout], and may be called more than once: the result is the same.
// An Observe function must not call it.
func (r *Run) Stop() Result {
	r.end.Do(func() {
		close(r.stop)
		r.done.Wait()
		r.result = r.tally.result(time.Since(r.start))
	})
	return r.result
}

// Snapshot is the count so far. Requests that are under way are not in it.
func (r *Run) Snapshot() Result {
	return r.tally.result(time.Since(r.start))
}
