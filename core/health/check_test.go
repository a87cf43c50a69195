package health

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func ok(context.Context) error { return nil }

func newChecks(checks ...Check) checkers { return newCheckers(checks, func(string, ...any) {}) }

// checkError panics if it is nil, as the usual error type does.
type checkError struct{ text string }

func (e *checkError) Error() string { return e.text }

func TestChecksNameWhatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		defer close(hung)
		cs := newChecks(
			Check{Name: "fine", Run: ok},
			Check{Name: "database", Run: func(context.Context) error { return errors.New("no such host") }},
			Check{Name: "heeds", Timeout: 2 * time.Second, Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			Check{Name: "late", Run: func(context.Context) error { time.Sleep(time.Second); return nil }}, // known before "heeds" is
			Check{Name: "hangs", Timeout: -1, Run: func(context.Context) error { <-hung; return nil }},
			Check{Name: "panics", Run: func(context.Context) error { panic("a bug") }},
			Check{Name: "panics later", Run: func(context.Context) error { return (*checkError)(nil) }},
			Check{Name: "leaves", Run: func(context.Context) error { runtime.Goexit(); return nil }},
			Check{Name: "mute", Run: func(context.Context) error { return errors.New("") }},
			Check{Name: "empty"},
		)
		began := time.Now()
		got := cs.run(t.Context())
		want := []failure{
			{"database", "no such host"},
			{"heeds", "no answer in 2s"},
			{"late", "no answer in 800ms"},
			{"hangs", "no answer in 800ms"},
			{"panics", "panic: a bug"},
			{"panics later", "panic: runtime error: invalid memory address or nil pointer dereference"},
			{"leaves", "it has ended its goroutine"},
			{"mute", "it failed and did not say why"},
			{"empty", "the check has no Run function"},
		}
		if !slices.Equal(got, want) {
			t.Errorf("failed: %v, want %v", got, want)
		}
		synctest.Wait()
		if again := cs.run(t.Context()); !slices.Equal(again, want) {
			t.Errorf("failed the second time: %v, want %v", again, want)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v: they run at once, and the longest may take 2 s each time", took)
		}
		time.Sleep(time.Second) // until what was late has ended
	})
}

// However many ask, a check runs once at a time, and one that hangs holds one
// goroutine and nobody for longer than its timeout.
func TestCheckRunsOnceAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		cs := newChecks(Check{Name: "slow", Run: func(context.Context) error {
			calls.Add(1)
			<-release
			return errors.New("down")
		}})
		var asking sync.WaitGroup
		for range 3 {
			for range 4 {
				asking.Go(func() {
					if got := cs.run(t.Context()); !slices.Equal(got, []failure{{"slow", "no answer in 800ms"}}) {
						t.Errorf("%v", got)
					}
				})
			}
			asking.Wait()
		}
		// Its result comes too late for everybody, however recently one has asked.
		asking.Go(func() {
			if got := cs.run(t.Context()); !slices.Equal(got, []failure{{"slow", "no answer in 800ms"}}) {
				t.Errorf("%v", got)
			}
		})
		synctest.Wait()
		close(release)
		asking.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
		if got := cs.run(t.Context()); !slices.Equal(got, []failure{{"slow", "down"}}) {
			t.Errorf("%v", got)
		}
		if n := calls.Load(); n != 2 {
			t.Errorf("%d runs after the first has ended, want 2", n)
		}
	})
}

// A client that goes away ends neither the run nor the result of others.
func TestCheckOutlivesItsClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		cs := newChecks(Check{Name: "slow", Run: func(ctx context.Context) error {
			<-release
			return ctx.Err()
		}})
		ctx, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if got := cs.run(ctx); len(got) != 1 || cs[0].failing {
				t.Errorf("gone, and yet %v, failing %v", got, cs[0].failing)
			}
		})
		synctest.Wait()
		asking.Go(func() {
			if got := cs.run(t.Context()); len(got) != 0 {
				t.Errorf("%v", got)
			}
		})
		cancel()
		synctest.Wait()
		close(release)
		asking.Wait()
	})
}
