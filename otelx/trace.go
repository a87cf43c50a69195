package otelx

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// Trace makes each upgrade a trace, with spans of the old and of the new process:
//
//	ginx.Run(r, ":8080", otelx.Trace())
//
// docs/tracing.md describes the spans. They have the times of the events, however late these are told.
//
// The last spans of a process end with its drain. They are sent if an OnEnd hook flushes the program's provider:
//
//	core.OnEnd(func(ctx context.Context) { _ = provider.Shutdown(ctx) })
//
// Trace takes the place of a core.WithUpgradeContext before it. One that comes after it decides which span those of an
// upgrade are children of, in both processes, if it returns a line such as "traceparent: 00-4bf9...-01".
func Trace(opts ...Option) core.Option {
	t := newTracer(newConfig(opts))
	return together(core.WithUpgradeContext(t.begun), core.OnEvent(t.event))
}

// together makes one option of several. What a core.Option takes has no name outside core, so it has one of its own here.
func together[C any](opts ...func(C)) func(C) {
	return func(c C) {
		for _, o := range opts {
			o(c)
		}
	}
}

// tracer makes spans of the events of this process.
type tracer struct {
	trace.Tracer
	propagator propagation.TextMapPropagator

	mu       sync.Mutex
	upgrades map[string]*upgrade // that this process has begun, by their attempts
	arrival  *arrival            // of this process; nil before and after it
	leaving  *phase              // the drain of a process that stops; nil if it does not
}

func newTracer(c config) *tracer {
	return &tracer{
		Tracer:     c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		propagator: c.propagator,
		upgrades:   map[string]*upgrade{},
	}
}

// begun begins the span of an upgrade, and returns what the new process gets to know of it.
func (t *tracer) begun(e core.Event) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := beginUpgrade(context.Background(), t.Tracer, e)
	t.upgrades[e.Attempt] = u
	return write(u.ctx, t.propagator)
}

// event passes an event on to what it is about.
func (t *tracer) event(e core.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Step {
	case control.StepStarting:
		t.arrival = beginArrival(read(e.Context, t.propagator), t.Tracer, e)
	case control.StepBegun, control.StepConcluded:
		if t.upgrades[e.Attempt] == nil { // begun was not called: it is not the option, or the upgrade was refused before
			t.upgrades[e.Attempt] = beginUpgrade(read(e.Context, t.propagator), t.Tracer, e)
		}
	}
	if u := t.upgrades[e.Attempt]; u != nil {
		if u.event(e); u.over() {
			delete(t.upgrades, e.Attempt)
		}
		return
	}
	if a := t.arrival; a != nil && a.attempt == e.Attempt {
		if a.event(e); a.done {
			t.arrival = nil
		}
	}
	t.leave(e)
}

// leave begins and ends the span of the drain of a process that has no successor: the service stops, or goes back to the old
// process. One that was not current yet does that as a part of the upgrade.
func (t *tracer) leave(e core.Event) {
	switch e.Step {
	case control.StepStopping, control.StepDraining:
		if t.leaving != nil {
			return
		}
		ctx := context.Background()
		if t.arrival != nil {
			ctx = t.arrival.ctx
			t.arrival.end(e)
			t.arrival = nil
		}
		_, t.leaving = begin(ctx, t.Tracer, "gracex.drain", e)
		t.leaving.set(drainConnections.Int(e.Total))
	case control.StepStopped, control.StepDrained:
		t.leaving.set(drainResult.String(e.Text))
		t.leaving.end(e.Time)
		t.leaving = nil
	}
}
