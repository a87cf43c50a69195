package core

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// runHook runs a function of the program: a panic becomes an error, because it
// must not end a process that serves, and a function that does not heed the end
// of ctx is left behind, because it must not wedge the upgrades after this one.
func runHook(ctx context.Context, hook func(context.Context) error) error {
	result := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				result <- fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		result <- hook(ctx)
	}()
	select {
	case err := <-result:
		if err == nil || !errors.Is(err, ctx.Err()) { // its own answer, not ctx's
			return err
		}
	case <-ctx.Done():
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return &refusal{ErrTimeout, context.DeadlineExceeded, ErrTimeout.Error()}
}

// reopen runs the OnReopen hooks.
func (u *Upgrader) reopen() {
	for _, hook := range u.cfg.reopen {
		if err := runHook(u.phase.life, func(context.Context) error { hook(); return nil }); err != nil {
			u.log.Error("a reopen hook failed", "error", err)
		}
	}
}

// runEndHooks runs what the program does at the end of this process.
func (u *Upgrader) runEndHooks() {
	ctx, cancel := context.WithTimeout(context.Background(), timing.End)
	defer cancel()
	u.eventHooks.await()
	for _, hook := range u.cfg.onEnd {
		if err := runHook(ctx, func(ctx context.Context) error { hook(ctx); return nil }); err != nil {
			u.log.Error("an OnEnd hook failed", "error", err)
		}
	}
}
