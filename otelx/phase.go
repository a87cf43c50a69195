package otelx

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/gracex-go/gracex/core"
)

// phase is a span that has begun. A nil phase is none, and takes everything.
type phase struct {
	span  trace.Span
	began time.Time
}

// begin begins a span at the time of an event, with what that says of the process.
func begin(ctx context.Context, t trace.Tracer, name string, e core.Event) (context.Context, *phase) {
	ctx, span := t.Start(ctx, name, trace.WithTimestamp(e.Time), trace.WithAttributes(about(e)...))
	return ctx, &phase{span, e.Time}
}

// about is what each span has.
func about(e core.Event) []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.ProcessPID(e.By), generation.Int(e.Generation)}
	if e.Version != "" {
		attrs = append(attrs, semconv.ServiceVersion(e.Version))
	}
	if e.Attempt != "" {
		attrs = append(attrs, upgradeID.String(e.Attempt))
	}
	return attrs
}

func (p *phase) set(attrs ...attribute.KeyValue) {
	if p != nil {
		p.span.SetAttributes(attrs...)
	}
}

// note makes an event of the service one of the span.
func (p *phase) note(e core.Event) {
	if p != nil {
		p.span.AddEvent("gracex."+e.Step, trace.WithTimestamp(e.Time), trace.WithAttributes(message.String(e.Text)))
	}
}

// end ends the span. The clock may have been set back since it began.
func (p *phase) end(at time.Time) {
	if p == nil {
		return
	}
	if at.Before(p.began) {
		at = p.began
	}
	p.span.End(trace.WithTimestamp(at))
}

// fail ends the span as one that was not good. The class is one of a few words.
func (p *phase) fail(at time.Time, class, reason string) {
	if p == nil {
		return
	}
	p.span.SetStatus(codes.Error, reason)
	p.set(semconv.ErrorTypeKey.String(class))
	p.end(at)
}
