package health

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// DefaultTimeout is the time limit of a Check that sets none. It is less than the second that
// Kubernetes waits for an answer by default.
const DefaultTimeout = 800 * time.Millisecond

// Check is a condition without which a process can't serve, for example that a database answers.
// Config has a list of them.
type Check struct {
	Name string // names the check in the answer

	// Run returns nil if the condition holds. One call runs at a time, and requests that arrive
	// meanwhile get its result. Any goroutine may call Run. A panic is a failure.
	Run func(context.Context) error

	// Timeout ends Run's context. A result that arrives later is a failure. Left out, it is
	// DefaultTimeout.
	Timeout time.Duration
}

// checkers are the checks of one Handler.
type checkers []*checker

// checker runs a check.
type checker struct {
	Check
	warn    func(msg string, args ...any)
	mu      sync.Mutex
	running *checkRun // nil: none
	failing bool      // what the log was told last
}

// checkRun is one run of a check.
type checkRun struct {
	done   chan struct{} // closed at its end
	failed string        // why it did not pass, empty if it did; valid then
}

func newCheckers(checks []Check, warn func(msg string, args ...any)) checkers {
	var cs checkers
	for _, c := range checks {
		if c.Timeout <= 0 {
			c.Timeout = DefaultTimeout
		}
		cs = append(cs, &checker{Check: c, warn: warn})
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
		why := c.wait(ctx, runs[i], began)
		if ctx.Err() == nil { // else nobody knows
			c.report(why)
		}
		if why != "" {
			failed = append(failed, failure{Check: c.Name, Error: why})
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
	r := &checkRun{done: make(chan struct{}), failed: "it has ended its goroutine"}
	c.running = r
	go func() {
		defer func() {
			c.mu.Lock()
			c.running = nil
			c.mu.Unlock()
			close(r.done)
		}()
		// Not the request's context: others may wait for this run too.
		ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
		defer cancel()
		r.failed = c.call(ctx)
	}()
	return r
}

// call runs the check and says why it failed. That may panic, too: an error that is
// a nil pointer.
func (c *checker) call(ctx context.Context) (failed string) {
	defer func() {
		if p := recover(); p != nil {
			failed = fmt.Sprintf("panic: %v", p)
			c.log("a readiness check panicked", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	if c.Run == nil {
		return "the check has no Run function"
	}
	err := c.Run(ctx)
	switch {
	case ctx.Err() != nil:
		return c.late()
	case err != nil && err.Error() == "":
		return "it failed and did not say why"
	case err != nil:
		return err.Error()
	}
	return ""
}

// wait returns the result of a run, which had its whole time from began on.
func (c *checker) wait(ctx context.Context, r *checkRun, began time.Time) string {
	select {
	case <-r.done: // while another check was waited for
		return r.failed
	default:
	}
	limit := time.NewTimer(time.Until(began.Add(c.Timeout)))
	defer limit.Stop()
	select {
	case <-r.done:
		return r.failed
	case <-limit.C:
		return c.late()
	case <-ctx.Done():
		return "the client has gone"
	}
}

func (c *checker) late() string { return fmt.Sprintf("no answer in %v", c.Timeout) }

// report tells the log of what has changed.
func (c *checker) report(failed string) {
	c.mu.Lock()
	was := c.failing
	c.failing = failed != ""
	c.mu.Unlock()
	switch {
	case failed != "" && !was:
		c.log("a readiness check fails", "error", failed)
	case failed == "" && was:
		c.log("a readiness check passes again")
	}
}

func (c *checker) log(msg string, args ...any) {
	c.warn(msg, append([]any{"check", c.Name}, args...)...)
}
