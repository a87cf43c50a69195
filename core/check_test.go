package core

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func ok(context.Context) error { return nil }

func TestChecksNameWhatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		defer close(hung)
		cs := newCheckers([]Check{
			{Name: "fine", Run: ok},
			{Name: "database", Run: func(context.Context) error { return errors.New("no such host") }},
			{Name: "heeds", Timeout: 2 * time.Second, Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			{Name: "hangs", Timeout: -1, Run: func(context.Context) error { <-hung; return nil }},
			{Name: "panics", Run: func(context.Context) error { panic("a bug") }},
			{Name: "empty"},
		})
		began := time.Now()
		got := cs.run(t.Context())
		want := []failure{
			{"database", "no such host"},
			{"heeds", "no answer in 2s"},
			{"hangs", "no answer in 1s"},
			{"panics", "panic: a bug"},
			{"empty", "the check has no Run function"},
		}
		if !slices.Equal(got, want) {
			t.Errorf("failed: %v, want %v", got, want)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v: they run at once, and the longest may take 2 s", took)
		}
	})
}

// However many ask, a check runs once at a time, and one that hangs holds one
// goroutine and nobody for longer than its timeout.
func TestCheckRunsOnceAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		cs := newCheckers([]Check{{Name: "slow", Run: func(context.Context) error {
			calls.Add(1)
			<-release
			return errors.New("down")
		}}})
		var asking sync.WaitGroup
		for range 3 {
			for range 4 {
				asking.Go(func() {
					if got := cs.run(t.Context()); !slices.Equal(got, []failure{{"slow", "no answer in 1s"}}) {
						t.Errorf("%v", got)
					}
				})
			}
			asking.Wait()
		}
		// Who asks shortly before the end gets the result.
		asking.Go(func() {
			if got := cs.run(t.Context()); !slices.Equal(got, []failure{{"slow", "down"}}) {
				t.Errorf("%v", got)
			}
		})
		synctest.Wait()
		close(release)
		asking.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d runs, want 1", n)
		}
		cs.run(t.Context())
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
		cs := newCheckers([]Check{{Name: "slow", Run: func(ctx context.Context) error {
			<-release
			return ctx.Err()
		}}})
		ctx, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() {
			if got := cs.run(ctx); len(got) != 1 {
				t.Errorf("gone, and yet %v", got)
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
