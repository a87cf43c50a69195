package otelx

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// upgrade are the spans of the old process. All are children of one, because a process can end at any time, and a span
// that has not ended is not sent: its children would hang in the air.
type upgrade struct {
	tracer trace.Tracer
	ctx    context.Context // of the root
	root   *phase

	step           *phase // the hooks, the start, the handover or the probation; nil in between
	handoff, drain *phase

	concluded, bad, left bool      // the outcome is known; it is not good; the drain is over
	takenBack            time.Time // when the old process served again, although the outcome was good
}

// beginUpgrade begins the span of the whole upgrade. One that was refused at once is told of when it is over.
func beginUpgrade(ctx context.Context, t trace.Tracer, e core.Event) *upgrade {
	if e.Outcome != nil {
		e.Time = e.Time.Add(-e.Outcome.Took)
	}
	u := &upgrade{tracer: t}
	u.ctx, u.root = begin(ctx, t, "gracex.upgrade", e)
	return u
}

// over reports whether nothing more comes.
func (u *upgrade) over() bool { return u.concluded && (u.bad || u.left) }

func (u *upgrade) event(e core.Event) {
	switch e.Step {
	case control.StepBegun:
		u.next("gracex.hooks", e)
	case control.StepStarted:
		u.next("gracex.start", e)
		u.step.set(upgradeNewPID.Int(e.PID))
	case control.StepReady:
		u.next("gracex.handover", e)
	case control.StepProbation:
		u.next("gracex.probation", e)
		u.step.set(probationTime.Float64(e.Probation.Seconds()))
	case control.StepHooksDone, control.StepConfirmed:
		u.step.end(e.Time)
		u.step = nil
	case control.StepFailed, control.StepRefused, control.StepRolledBack:
		u.step.fail(e.Time, e.Step, e.Text)
		u.step = nil
	case control.StepConcluded:
		u.conclude(e)
	case control.StepDraining:
		u.beginDrain(e)
	case control.StepMoved:
		u.handoff.set(movedConnections.Int(e.Total))
		u.handoff.end(e.Time)
		u.handoff = nil
	case control.StepDrained:
		u.drain.set(drainResult.String(e.Text))
		u.endDrain(func(p *phase) { p.end(e.Time) })
	case control.StepTakenBack:
		u.takenBack = e.Time // why comes later, as another outcome
	case control.StepQueued, control.StepWarning:
		u.root.note(e)
	}
}

// next ends the step before, and begins one.
func (u *upgrade) next(name string, e core.Event) {
	u.step.end(e.Time)
	_, u.step = begin(u.ctx, u.tracer, name, e)
}

func (u *upgrade) beginDrain(e core.Event) {
	if u.drain != nil || u.left { // it is told again and again
		return
	}
	u.step.end(e.Time)
	u.step = nil
	_, u.handoff = begin(u.ctx, u.tracer, "gracex.handoff", e)
	_, u.drain = begin(u.ctx, u.tracer, "gracex.drain", e)
	u.drain.set(drainConnections.Int(e.Total))
}

func (u *upgrade) endDrain(end func(*phase)) {
	end(u.handoff)
	end(u.drain)
	u.handoff, u.drain, u.left = nil, nil, true
}

// conclude ends the span of the whole. The drain of a good upgrade goes on, and an outcome that comes behind it says why it was
// taken back.
func (u *upgrade) conclude(e core.Event) {
	o := e.Outcome
	if o == nil {
		o = &control.Outcome{Reason: e.Text}
	}
	if u.concluded {
		u.drain.set(outcome(o)...)
		u.endDrain(func(p *phase) { p.fail(u.takenBack, control.OutcomeTakenBack, o.Reason) })
		return
	}
	u.concluded = true
	u.root.set(outcome(o)...)
	if u.bad = !o.OK; !u.bad {
		u.root.end(e.Time)
		return
	}
	u.step.fail(e.Time, o.Kind, o.Reason) // a hook has vetoed it, or a stop came
	u.root.fail(e.Time, o.Kind, o.Reason)
}

// outcome are the attributes that an upgrade has when it is known how it went.
func outcome(o *control.Outcome) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		upgradeOutcome.String(o.Kind), upgradeOldPID.Int(o.OldPID), upgradeOldGeneration.Int(o.OldGeneration),
	}
	if o.NewPID != 0 {
		attrs = append(attrs, upgradeNewPID.Int(o.NewPID))
	}
	for _, a := range []attribute.KeyValue{
		upgradeOldVersion.String(o.OldVersion), upgradeNewVersion.String(o.Version), upgradeNewExit.String(o.Exit),
		upgradeRelease.String(o.Release), upgradeNextStart.String(o.NextStart),
	} {
		if a.Value.AsString() != "" {
			attrs = append(attrs, a)
		}
	}
	if len(o.Stderr) > 0 {
		attrs = append(attrs, upgradeNewStderr.StringSlice(o.Stderr))
	}
	return attrs
}
