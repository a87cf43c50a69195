package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// DefaultCheckTimeout is how long a Check may take that says nothing else: less
// than the load balancers wait by default.
const DefaultCheckTimeout = time.Second

// Check is something that a process can't serve without: a database that answers.
// See ReadinessConfig.
type Check struct {
	Name string // as the answer calls it

	// Run returns nil if all is well. Its context ends after Timeout. It runs
	// once at a time, whoever asks: who asks meanwhile gets the same result. It may
	// be called by any goroutine; a panic is a failure.
	Run func(context.Context) error

	Timeout time.Duration // zero or less: DefaultCheckTimeout
}

// checkers are the checks of one Readiness.
type checkers []*checker

// checker runs a check.
type checker struct {
	Check
	mu      sync.Mutex
	running *checkRun // nil: none
}

// checkRun is one run of a check.
type checkRun struct {
	done chan struct{} // closed at its end
	err  error         // valid then
}

func newCheckers(checks []Check) checkers {
	var cs checkers
	for _, c := range checks {
		if c.Timeout <= 0 {
			c.Timeout = DefaultCheckTimeout
		}
		cs = append(cs, &checker{Check: c})
	}
	return cs
}

// run runs all checks at once and returns what failed, in their order. ctx is that
// of the request.
func (cs checkers) run(ctx context.Context) []failure {
	began := time.Now()
	runs := make([]*checkRun, len(cs))
	for i, c := range cs {
		runs[i] = c.start()
	}
	var failed []failure
	for i, c := range cs {
		if err := c.wait(ctx, runs[i], began); err != nil {
			failed = append(failed, failure{Check: c.Name, Error: err.Error()})
		}
	}
	return failed
}

// start returns the run in progress, or a new one. One that does not heed its
// context holds up this check and nothing else, in a single goroutine.
func (c *checker) start() *checkRun {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running != nil {
		return c.running
	}
	r := &checkRun{done: make(chan struct{})}
	c.running = r
	go func() {
		// Not the request's context: others may wait for this run too.
		ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
		defer cancel()
		r.err = c.call(ctx)
		c.mu.Lock()
		c.running = nil
		c.mu.Unlock()
		close(r.done)
	}()
	return r
}

func (c *checker) call(ctx context.Context) (err error) {
	if c.Run == nil {
		return errors.New("the check has no Run function")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	err = c.Run(ctx)
	if err != nil && errors.Is(err, ctx.Err()) {
		return c.late()
	}
	return err
}

// wait returns the result of a run, which had its whole time from began on.
func (c *checker) wait(ctx context.Context, r *checkRun, began time.Time) error {
	if isClosed(r.done) { // while another check was waited for
		return r.err
	}
	limit := time.NewTimer(time.Until(began.Add(c.Timeout)))
	defer limit.Stop()
	select {
	case <-r.done:
		return r.err
	case <-limit.C:
		return c.late()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *checker) late() error { return fmt.Errorf("no answer in %v", c.Timeout) }
