package core

import (
	"log/slog"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// TestEvents_AreTakenOnce: several processes tell of the same ones.
func TestEvents_AreTakenOnce(t *testing.T) {
	t.Parallel()
	var e events
	for i, want := range []bool{true, false} {
		if got := e.add(Event{ID: "1"}); got != want {
			t.Errorf("time %d: it is new: %v", i+1, got)
		}
	}
	if n := len(e.all()); n != 1 {
		t.Errorf("%d are remembered", n)
	}
}

// TestOnEvent_IsDoneBeforeTheEnd of the process, which its OnEnd hooks begin.
func TestOnEvent_IsDoneBeforeTheEnd(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	told := false
	u := &Upgrader{log: log, eventHooks: newEventHooks([]func(Event){func(Event) {
		time.Sleep(timing.Events / 20) // if that is too short, less is tried
		told = true
	}}, log)}
	stop := make(chan struct{})
	defer close(stop)
	go u.eventHooks.run(stop)
	u.eventHooks.call(Event{ID: "1"})
	u.runEndHooks()
	if !told {
		t.Error("the last event was not told")
	}
}
