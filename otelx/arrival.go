package otelx

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// arrival are the spans of a process that starts: the new one of an upgrade, or the first one.
type arrival struct {
	tracer  trace.Tracer
	attempt string          // empty for the first process
	ctx     context.Context // of the span that the others are children of: the old process's, or else that of the start
	started context.Context // of the start

	step, checks *phase // the start, the handover or the probation; and the ready checks
	done         bool   // the process is current for good
}

func beginArrival(old context.Context, t trace.Tracer, e core.Event) *arrival {
	a := &arrival{tracer: t, attempt: e.Attempt, ctx: old}
	a.started, a.step = begin(old, t, "gracex.start", e)
	if !trace.SpanContextFromContext(old).IsValid() {
		a.ctx = a.started
	}
	return a
}

func (a *arrival) event(e core.Event) {
	switch e.Step {
	case control.StepChecking:
		_, a.checks = begin(a.started, a.tracer, "gracex.ready_checks", e)
	case control.StepSaidReady:
		a.next("gracex.handover", e)
	case control.StepServing:
		if a.attempt == "" {
			a.finish(e)
		} else {
			a.next("gracex.probation", e)
		}
	case control.StepConfirmed:
		a.finish(e)
	case control.StepFailed, control.StepRolledBack:
		a.checks.fail(e.Time, e.Step, e.Text)
		a.step.fail(e.Time, e.Step, e.Text)
		a.checks, a.step = nil, nil
	case control.StepWarning:
		a.step.note(e)
	}
}

// next ends the step before, and begins one.
func (a *arrival) next(name string, e core.Event) {
	a.end(e)
	_, a.step = begin(a.ctx, a.tracer, name, e)
}

// end ends what has begun.
func (a *arrival) end(e core.Event) {
	a.checks.end(e.Time)
	a.step.end(e.Time)
	a.checks, a.step = nil, nil
}

func (a *arrival) finish(e core.Event) {
	a.end(e)
	a.done = true
}
