package core

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// eventHooks calls the functions of OnEvent. A nil one has none.
type eventHooks struct {
	log   *slog.Logger
	hooks []func(Event)
	queue chan queuedEvent
	full  sync.Once // for the log
}

// queuedEvent is an event, or with done the question whether all before it were told.
type queuedEvent struct {
	Event
	done chan struct{}
}

func newEventHooks(hooks []func(Event), log *slog.Logger) *eventHooks {
	if len(hooks) == 0 {
		return nil
	}
	return &eventHooks{log: log, hooks: hooks, queue: make(chan queuedEvent, maxEvents)}
}

// run calls them until stop is closed.
func (h *eventHooks) run(stop <-chan struct{}) {
	if h == nil {
		return
	}
	for {
		select {
		case q := <-h.queue:
			if q.done != nil {
				close(q.done)
				continue
			}
			for _, hook := range h.hooks {
				err := runHook(context.Background(), func(context.Context) error { hook(q.Event); return nil })
				if err != nil {
					h.log.Error("a function of OnEvent has failed", "step", q.Step, "error", err)
				}
			}
		case <-stop:
			return
		}
	}
}

// call has the functions called, soon.
func (h *eventHooks) call(e Event) {
	if h == nil {
		return
	}
	select {
	case h.queue <- queuedEvent{Event: e}:
	default:
		h.full.Do(func() {
			h.log.Error("a function of OnEvent does not return; events that come while so many wait are lost", "waiting", maxEvents, "step", e.Step)
		})
	}
}

// await returns when all events were told, or the time for that is over.
func (h *eventHooks) await() {
	if h == nil {
		return
	}
	limit := time.NewTimer(timing.Events)
	defer limit.Stop()
	done := make(chan struct{})
	select {
	case h.queue <- queuedEvent{done: done}:
	case <-limit.C:
		return
	}
	select {
	case <-done:
	case <-limit.C:
		h.log.Warn("a function of OnEvent does not return; this process does not wait for it any longer", "waited", timing.Events)
	}
}
