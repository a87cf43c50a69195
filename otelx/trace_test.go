package otelx

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// upgrades tells of a good upgrade up to its outcome, in both processes, of which the first event is at that second.
func upgrades(u *upgradeEvents, next *process, at int) *upgradeEvents {
	n := u.of(next)
	u.steps(at+1, control.StepHooksDone, control.StepStarted)
	n.steps(at+2, control.StepStarting, control.StepChecking, control.StepSaidReady, control.StepServing)
	u.steps(at+4, control.StepReady, control.StepProbation)
	u.tell(control.StepConfirmed, at+8)
	u.tell(control.StepConcluded, at+8, good)
	n.tell(control.StepConfirmed, at+8)
	return n
}

// drains tells of the drain behind it.
func drains(u *upgradeEvents, at int) {
	u.tell(control.StepDraining, at, func(e *core.Event) { e.Total, e.Remaining = 7, 7 })
	u.tell(control.StepDraining, at+1, func(e *core.Event) { e.Total, e.Remaining = 7, 3 })
	u.tell(control.StepMoved, at+2, func(e *core.Event) { e.Total = 5 })
	u.tell(control.StepDrained, at+3, text("nothing was cut"))
}

const goodTree = `
	upgrade 100 [0,8]
	  hooks 100 [0,1]
	  start 100 [2,4]
	  start 200 [2,4]
	    ready_checks 200 [3,4]
	  handover 200 [4,5]
	  handover 100 [4,5]
	  probation 200 [5,8]
	  probation 100 [5,8]
	  handoff 100 [9,11]
	  drain 100 [9,12]
	`

// TestUpgraded: a good upgrade is one trace of both processes, and its spans have what is known.
func TestUpgraded(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	old, next := r.process(100), r.process(200)
	u := old.begins("a", 0)
	upgrades(u, next, 0)
	drains(u, 9)
	r.want(goodTree)
	if n := len(old.upgrades); n != 0 || next.arrival != nil {
		t.Errorf("%d upgrades and the arrival %v are remembered", n, next.arrival)
	}
	for _, s := range r.Ended() {
		if got := valueOf(s, upgradeID).AsString(); got != "a" {
			t.Errorf("%s says of the upgrade %q", s.Name(), got)
		}
		if got, want := valueOf(s, "service.version").AsString(), fmt.Sprint("v", pidOf(s)/100); got != want {
			t.Errorf("%s says of the version %q, want %q", s.Name(), got, want)
		}
		if s.SpanKind() != trace.SpanKindInternal || s.InstrumentationScope().Name != scope {
			t.Errorf("%s is %v of %v", s.Name(), s.SpanKind(), s.InstrumentationScope())
		}
		for key, want := range map[attribute.Key]string{
			upgradeOutcome: "upgraded", upgradeOldPID: "100", upgradeNewPID: "200", upgradeOldVersion: "v1", upgradeNewVersion: "v2",
		} {
			if got := fmt.Sprint(valueOf(s, key).AsInterface()); s.Name() == "gracex.upgrade" && got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		for key, want := range map[attribute.Key]string{drainConnections: "7", drainResult: "nothing was cut"} {
			if got := fmt.Sprint(valueOf(s, key).AsInterface()); s.Name() == "gracex.drain" && got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if got := valueOf(s, movedConnections).AsInt64(); s.Name() == "gracex.handoff" && got != 5 {
			t.Errorf("%d connections have moved, want 5", got)
		}
	}
}

// TestBadUpgrades: an upgrade that was not good ends the span that it was in, and the trace, with the reason.
func TestBadUpgrades(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		play func(r *receiver)
		want string
	}{
		"vetoed": {func(r *receiver) {
			u := r.process(100).begins("a", 0)
			u.tell(control.StepRefused, 1, text("vetoed: not now"))
			u.tell(control.StepConcluded, 1, bad(control.KindRefused, "vetoed: not now"))
		}, `
	upgrade 100 [0,1] refused: vetoed: not now
	  hooks 100 [0,1] refused: vetoed: not now
	`},
		"vetoed, without its step": {func(r *receiver) {
			r.process(100).begins("a", 0).tell(control.StepConcluded, 1, bad(control.KindRefused, "not now"))
		}, `
	upgrade 100 [0,1] refused: not now
	  hooks 100 [0,1] refused: not now
	`},
		"refused before it began": {func(r *receiver) {
			r.process(100).none().tell(control.StepConcluded, 3, with(control.Outcome{
				Kind: control.KindRefused, Reason: "another one is in progress", Took: 2 * time.Second,
			}))
		}, `
	upgrade 100 [1,3] refused: another one is in progress
	`},
		"the program is not there": {func(r *receiver) {
			u := r.process(100).begins("a", 0)
			u.tell(control.StepHooksDone, 1)
			u.tell(control.StepFailed, 2, text("no such file"))
			u.tell(control.StepConcluded, 2, bad(control.KindFailed, "no such file"))
		}, `
	upgrade 100 [0,2] failed: no such file
	  hooks 100 [0,1]
	`},
		"failed": {func(r *receiver) {
			u := r.process(100).begins("a", 0)
			n := u.of(r.process(200))
			u.steps(1, control.StepHooksDone, control.StepStarted)
			n.steps(2, control.StepStarting, control.StepChecking)
			n.tell(control.StepFailed, 4, text("the database is gone"))
			n.tell(control.StepStopping, 4)
			u.tell(control.StepFailed, 5, text("it failed to start: the database is gone"))
			u.tell(control.StepConcluded, 5, bad(control.KindFailed, "it failed to start: the database is gone"))
			n.tell(control.StepStopped, 6)
		}, `
	upgrade 100 [0,5] failed: it failed to start: the database is gone
	  hooks 100 [0,1]
	  start 100 [2,5] failed: it failed to start: the database is gone
	  start 200 [2,4] failed: the database is gone
	    ready_checks 200 [3,4] failed: the database is gone
	  drain 200 [4,6]
	`},
		"rolled back": {func(r *receiver) {
			u := r.process(100).begins("a", 0)
			n := u.of(r.process(200))
			u.steps(1, control.StepHooksDone, control.StepStarted, control.StepReady, control.StepProbation)
			n.steps(2, control.StepStarting, control.StepSaidReady, control.StepServing)
			u.tell(control.StepRolledBack, 6, text("rejected: bad"))
			u.tell(control.StepConcluded, 7, bad(control.KindRolledBack, "rejected: bad"))
			n.tell(control.StepRolledBack, 6, text("bad"))
			n.steps(6, control.StepDraining, control.StepMoved, control.StepDrained)
		}, `
	upgrade 100 [0,7] rolled_back: rejected: bad
	  hooks 100 [0,1]
	  start 100 [2,3]
	  start 200 [2,3]
	  handover 100 [3,4]
	  handover 200 [3,4]
	  probation 100 [4,6] rolled_back: rejected: bad
	  probation 200 [4,6] rolled_back: bad
	  drain 200 [6,8]
	`},
		"taken back": {func(r *receiver) {
			old := r.process(100)
			u := old.begins("a", 0)
			upgrades(u, r.process(200), 0)
			u.tell(control.StepDraining, 9)
			u.tell(control.StepTakenBack, 10, text("it is gone"))
			u.tell(control.StepConcluded, 11, bad(control.KindRolledBack, "it has ended: signal 9"))
			if len(old.upgrades) != 0 {
				r.t.Error("the upgrade is remembered")
			}
		}, strings.Replace(goodTree, `handoff 100 [9,11]
	  drain 100 [9,12]`, `handoff 100 [9,10] taken_back: it has ended: signal 9
	  drain 100 [9,10] taken_back: it has ended: signal 9`, 1)},
		"a stop comes on probation": {func(r *receiver) {
			u := r.process(100).begins("a", 0)
			n := u.of(r.process(200))
			u.steps(1, control.StepHooksDone, control.StepStarted, control.StepReady, control.StepProbation)
			n.steps(2, control.StepStarting, control.StepSaidReady, control.StepServing, control.StepStopping)
			u.tell(control.StepConcluded, 6, bad(control.KindFailed, "the service stops"))
			u.process.none().steps(6, control.StepStopping, control.StepStopped)
			n.tell(control.StepStopped, 7)
		}, `
	upgrade 100 [0,6] failed: the service stops
	  hooks 100 [0,1]
	  start 100 [2,3]
	  start 200 [2,3]
	  handover 100 [3,4]
	  handover 200 [3,4]
	  probation 100 [4,6] failed: the service stops
	  probation 200 [4,5]
	  drain 200 [5,7]
	drain 100 [6,7]
	`},
		"a stop comes": {func(r *receiver) {
			old := r.process(100)
			u := old.begins("a", 0)
			u.steps(1, control.StepHooksDone, control.StepStarted)
			old.none().tell(control.StepStopping, 3)
			u.tell(control.StepConcluded, 4, bad(control.KindFailed, "the service stops"))
			old.none().tell(control.StepStopped, 5)
		}, `
	upgrade 100 [0,4] failed: the service stops
	  hooks 100 [0,1]
	  start 100 [2,4] failed: the service stops
	drain 100 [3,5]
	`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			tt.play(r)
			r.want(tt.want)
		})
	}
}

// TestSeveral: an attempt that failed, a second one, of which the first one's outcome comes late, and a third one that the new
// process begins.
func TestSeveral(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	first, second, third := r.process(100), r.process(200), r.process(300)
	a := first.begins("a", 0)
	a.steps(1, control.StepHooksDone, control.StepStarted)
	a.tell(control.StepRolledBack, 3, text("bad"))
	b := first.begins("b", 10)
	a.tell(control.StepConcluded, 11, bad(control.KindRolledBack, "bad, with exit status 1"))
	upgrades(b, second, 10)
	c := second.begins("c", 20)
	upgrades(c, third, 20)
	drains(b, 25) // it has outlasted the next upgrade
	drains(c, 29)
	r.want(`
	upgrade 100 [0,11] rolled_back: bad, with exit status 1
	  hooks 100 [0,1]
	  start 100 [2,3] rolled_back: bad
	upgrade 100 [10,18]
	  hooks 100 [10,11]
	  start 100 [12,14]
	  start 200 [12,14]
	    ready_checks 200 [13,14]
	  handover 200 [14,15]
	  handover 100 [14,15]
	  probation 200 [15,18]
	  probation 100 [15,18]
	  handoff 100 [25,27]
	  drain 100 [25,28]
	upgrade 200 [20,28]
	  hooks 200 [20,21]
	  start 200 [22,24]
	  start 300 [22,24]
	    ready_checks 300 [23,24]
	  handover 300 [24,25]
	  handover 200 [24,25]
	  probation 300 [25,28]
	  probation 200 [25,28]
	  handoff 200 [29,31]
	  drain 200 [29,32]
	`)
}

// TestFirstProcess: a start without an upgrade is a trace of its own, and so is a stop.
func TestFirstProcess(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	p := r.process(100)
	p.none().steps(0, control.StepStarting, control.StepChecking, control.StepServing)
	p.none().steps(5, control.StepStopping, control.StepStopped)
	r.want(`
	start 100 [0,2]
	  ready_checks 100 [1,2]
	drain 100 [5,6]
	`)
	r = newReceiver(t)
	p = r.process(100)
	p.none().tell(control.StepStarting, 0)
	p.none().tell(control.StepFailed, 1, text("address already in use"))
	p.none().tell(control.StepStopping, 1)
	p.none().tell(control.StepStopped, 2)
	r.want(`
	start 100 [0,1] failed: address already in use
	  drain 100 [1,2]
	`)
}

// TestContextIsBad: without a context that can be read the new process has a trace of its own.
func TestContextIsBad(t *testing.T) {
	t.Parallel()
	for name, context := range map[string]string{
		"missing":         "",
		"another's":       "deploy 4711 by alice",
		"no trace":        "traceparent: 00-00000000000000000000000000000000-0000000000000000-01",
		"cut":             "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f06",
		"of many lines":   strings.Repeat("x\n", 2000),
		"a bad state too": "traceparent: 00-4bf92f3577b34da6\ntracestate: \x00=,,,=",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReceiver(t)
			n := &upgradeEvents{r.process(200), "a", context}
			n.steps(0, control.StepStarting, control.StepChecking, control.StepSaidReady, control.StepServing, control.StepConfirmed)
			r.want(`
	start 200 [0,2]
	  ready_checks 200 [1,2]
	  handover 200 [2,3]
	  probation 200 [3,4]
	`)
		})
	}
}

// TestContextOfProgram: where the program itself says what is carried over, the spans of both processes are children of that.
func TestContextOfProgram(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	old, next := r.process(100), r.process(200)
	const id, deploy = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	u := &upgradeEvents{old, "a", "traceparent: 00-" + id + "-" + deploy + "-01"}
	u.tell(control.StepBegun, 0)
	upgrades(u, next, 0)
	drains(u, 9)
	for _, s := range r.Ended() {
		if s.SpanContext().TraceID().String() != id {
			t.Errorf("%s is of the trace %s", s.Name(), s.SpanContext().TraceID())
		}
		if top := s.Name() == "gracex.upgrade" || pidOf(s) == 200 && s.Name() != "gracex.ready_checks"; top != (s.Parent().SpanID().String() == deploy) {
			t.Errorf("%s of process %d is a child of %s", s.Name(), pidOf(s), s.Parent().SpanID())
		}
	}
}

// TestState: what a sampler says of a trace goes to the new process, and so does what it has decided.
func TestState(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	state, err := trace.ParseTraceState("vendor=x:1,other=y")
	if err != nil {
		t.Fatal(err)
	}
	sampled := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r), sdktrace.WithSampler(says{sdktrace.RecordAndSample, state}))
	old, next := r.process(100, WithTracerProvider(sampled)), r.process(200)
	u := old.begins("a", 0)
	upgrades(u, next, 0)
	drains(u, 9)
	for _, s := range r.Ended() {
		if got := s.SpanContext().TraceState().String(); got != state.String() {
			t.Errorf("%s of process %d has the state %q, want %q", s.Name(), pidOf(s), got, state)
		}
	}

	r = newReceiver(t)
	dropped := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r), sdktrace.WithSampler(says{sdktrace.Drop, trace.TraceState{}}))
	u = r.process(100, WithTracerProvider(dropped)).begins("a", 0)
	upgrades(u, r.process(200), 0)
	drains(u, 9)
	r.want("")
}

// says is a sampler that has decided.
type says struct {
	decision sdktrace.SamplingDecision
	state    trace.TraceState
}

func (s says) ShouldSample(sdktrace.SamplingParameters) sdktrace.SamplingResult {
	return sdktrace.SamplingResult{Decision: s.decision, Tracestate: s.state}
}
func (says) Description() string { return "says" }

// TestPropagator: another one writes what it likes.
func TestPropagator(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	both := WithPropagator(propagation.NewCompositeTextMapPropagator(upper{}, propagation.TraceContext{}))
	u := r.process(100, both).begins("a", 0)
	if lines := strings.Split(u.context, "\n"); len(lines) != 2 || lines[0] != "X-Upper: some: value" {
		t.Errorf("what goes to the new process is %q", u.context)
	}
	upgrades(u, r.process(200, both), 0)
	drains(u, 9)
	r.want(goodTree)
}

// upper is a propagator whose key is not in lower case, and whose value has a colon.
type upper struct{}

func (upper) Inject(_ context.Context, c propagation.TextMapCarrier) { c.Set("X-Upper", "some: value") }
func (upper) Extract(ctx context.Context, c propagation.TextMapCarrier) context.Context {
	if c.Get("X-Upper") != "some: value" {
		return trace.ContextWithRemoteSpanContext(ctx, trace.SpanContext{})
	}
	return ctx
}
func (upper) Fields() []string { return []string{"X-Upper"} }

// TestNoProvider: without one nothing goes to the new process, and nothing breaks.
func TestNoProvider(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	u := r.process(100, WithTracerProvider(noop.NewTracerProvider())).begins("a", 0)
	if u.context != "" {
		t.Errorf("what goes to the new process is %q", u.context)
	}
	upgrades(u, r.process(200, WithTracerProvider(noop.NewTracerProvider())), 0)
	drains(u, 9)
}

// TestNotes: what does not end a span is an event of it.
func TestNotes(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	u := r.process(100).begins("a", 0)
	u.tell(control.StepWarning, 1, text("a symlink was switched"))
	u.tell(control.StepQueued, 2)
	u.tell(control.StepConcluded, 3, bad(control.KindFailed, "x"))
	r.want(`
	upgrade 100 [0,3] failed: x (warning 1) (queued 2)
	  hooks 100 [0,3] failed: x
	`)
}

// TestClockIsSetBack: no span ends before it began.
func TestClockIsSetBack(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	u := r.process(100).begins("a", 5)
	u.tell(control.StepHooksDone, 3)
	u.tell(control.StepConcluded, 4, bad(control.KindFailed, "x"))
	r.want(`
	upgrade 100 [5,5] failed: x
	  hooks 100 [5,5]
	`)
}

// TestUnknown: events of later versions, of an upgrade that nothing is known of, and those that come twice, change nothing.
func TestUnknown(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	p := r.process(100)
	for _, step := range []string{
		control.StepReady, control.StepMoved, control.StepDrained, control.StepConfirmed, control.StepTakenBack, control.StepServing,
		control.StepStopped, control.StepSaidReady, control.StepChecking, "later", "",
	} {
		(&upgradeEvents{p, "unknown", ""}).tell(step, 0)
	}
	r.want("")
	u := p.begins("a", 0)
	upgrades(u, r.process(200), 0)
	drains(u, 9)
	u.steps(13, control.StepConfirmed, control.StepMoved, control.StepDrained, control.StepTakenBack, "later")
	r.want(goodTree)
}
