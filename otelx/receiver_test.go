package otelx

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// receiver has the spans of all processes.
type receiver struct {
	t *testing.T
	*tracetest.SpanRecorder
	began time.Time
}

func newReceiver(t *testing.T) *receiver {
	return &receiver{t, tracetest.NewSpanRecorder(), time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)}
}

// process is one of a service, with a tracer of its own. Its events have the whole seconds at which they were.
type process struct {
	*tracer
	r   *receiver
	pid int
}

func (r *receiver) process(pid int, opts ...Option) *process {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(r))
	return &process{newTracer(newConfig(append([]Option{WithTracerProvider(provider)}, opts...))), r, pid}
}

// upgradeEvents are those of one process about one upgrade.
type upgradeEvents struct {
	*process
	attempt, context string
}

// begins calls what core.WithUpgradeContext has, and tells of it.
func (p *process) begins(attempt string, at int) *upgradeEvents {
	u := &upgradeEvents{p, attempt, ""}
	begun := u.make(control.StepBegun, at)
	begun.Context = ""
	u.context = p.begun(begun)
	u.tell(control.StepBegun, at)
	return u
}

// of are the events of the new process of the same upgrade.
func (u *upgradeEvents) of(p *process) *upgradeEvents { return &upgradeEvents{p, u.attempt, u.context} }

// none are those of a process without an upgrade.
func (p *process) none() *upgradeEvents { return &upgradeEvents{process: p} }

func (u *upgradeEvents) make(step string, at int, more ...func(*core.Event)) core.Event {
	e := core.Event{
		Time: u.r.began.Add(time.Duration(at) * time.Second), Step: step, By: u.pid, Generation: u.pid / 100, Version: fmt.Sprint("v", u.pid/100),
		Attempt: u.attempt, Context: u.context,
	}
	for _, f := range more {
		f(&e)
	}
	return e
}

func (u *upgradeEvents) tell(step string, at int, more ...func(*core.Event)) {
	u.event(u.make(step, at, more...))
}

// steps tells several, one a second.
func (u *upgradeEvents) steps(at int, steps ...string) {
	for i, step := range steps {
		u.tell(step, at+i)
	}
}

func with(o control.Outcome) func(*core.Event) { return func(e *core.Event) { e.Outcome = &o } }
func text(s string) func(*core.Event)          { return func(e *core.Event) { e.Text = s } }

var good = with(control.Outcome{OK: true, Kind: control.KindUpgraded, OldPID: 100, NewPID: 200, OldVersion: "v1", Version: "v2", Generation: 2, OldGeneration: 1})

func bad(kind, reason string) func(*core.Event) {
	return with(control.Outcome{Kind: kind, Reason: reason, OldPID: 100, OldGeneration: 1, Generation: 1})
}

// tree draws the traces: each span with its process, when it began and ended, and its status if that is an error. A line of a
// child is indented. A span that has not ended is an error of the test.
func (r *receiver) tree() string {
	r.t.Helper()
	ended := r.Ended()
	if n := len(r.Started()); n != len(ended) {
		for _, s := range r.Started() {
			if s.EndTime().IsZero() {
				r.t.Errorf("%s of process %d has not ended", s.Name(), pidOf(s))
			}
		}
	}
	// By the time of the beginning, and those that begin at the same time in the order in which they were begun.
	order := map[trace.SpanID]int{}
	for i, s := range r.Started() {
		order[s.SpanContext().SpanID()] = i
	}
	slices.SortFunc(ended, func(a, b sdktrace.ReadOnlySpan) int {
		return cmp.Or(a.StartTime().Compare(b.StartTime()), cmp.Compare(order[a.SpanContext().SpanID()], order[b.SpanContext().SpanID()]))
	})
	var out strings.Builder
	var draw func(parent sdktrace.ReadOnlySpan, indent string)
	drawn := 0
	draw = func(parent sdktrace.ReadOnlySpan, indent string) {
		for _, s := range ended {
			switch of := s.Parent(); {
			case parent == nil && r.has(of):
				continue
			case parent != nil && (of.SpanID() != parent.SpanContext().SpanID() || of.TraceID() != parent.SpanContext().TraceID()):
				continue
			}
			drawn++
			fmt.Fprintf(&out, "%s%s %d [%d,%d]", indent, strings.TrimPrefix(s.Name(), "gracex."), pidOf(s), r.second(s.StartTime()), r.second(s.EndTime()))
			if s.Status().Code == codes.Error {
				fmt.Fprintf(&out, " %s: %s", valueOf(s, "error.type").AsString(), s.Status().Description)
			}
			for _, e := range s.Events() {
				fmt.Fprintf(&out, " (%s %d)", strings.TrimPrefix(e.Name, "gracex."), r.second(e.Time))
			}
			out.WriteByte('\n')
			draw(s, indent+"  ")
		}
	}
	draw(nil, "")
	if drawn != len(ended) {
		r.t.Errorf("%d of %d spans are in the tree", drawn, len(ended))
	}
	return out.String()
}

// has reports whether a span was received.
func (r *receiver) has(c trace.SpanContext) bool {
	return slices.ContainsFunc(r.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.SpanContext().SpanID() == c.SpanID() })
}

func (r *receiver) second(at time.Time) int { return int(at.Sub(r.began) / time.Second) }

func valueOf(s sdktrace.ReadOnlySpan, key attribute.Key) attribute.Value {
	for _, kv := range s.Attributes() {
		if kv.Key == key {
			return kv.Value
		}
	}
	return attribute.Value{}
}

func pidOf(s sdktrace.ReadOnlySpan) int64 { return valueOf(s, "process.pid").AsInt64() }

func (r *receiver) want(tree string) {
	r.t.Helper()
	tree = strings.ReplaceAll(strings.TrimPrefix(tree, "\n"), "\t", "")
	if got := r.tree(); got != tree {
		r.t.Errorf("the traces are\n%s\nwant\n%s", got, tree)
	}
}
