package otelx

import (
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/gracex-go/gracex/otelx/internal/figures"
)

// scope names this module to OpenTelemetry.
const scope = figures.Scope

// Option changes what Trace and Metrics do. If an option is given twice, the last one applies.
type Option func(*config)

type config struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
}

func newConfig(opts []Option) config {
	c := config{
		tracers:    otel.GetTracerProvider(),
		meters:     otel.GetMeterProvider(),
		propagator: propagation.TraceContext{},
	}
	for _, o := range opts {
		if o != nil {
			o(&c)
		}
	}
	return c
}

// WithTracerProvider sets where Trace gets its tracer from. Left out or nil, that is the global provider, which the program
// can also set later (otel.SetTracerProvider).
func WithTracerProvider(p trace.TracerProvider) Option {
	return func(c *config) {
		if p != nil {
			c.tracers = p
		}
	}
}

// WithMeterProvider sets where Metrics gets its meter from. Left out or nil, that is the global provider, which the program
// can also set later (otel.SetMeterProvider).
func WithMeterProvider(p metric.MeterProvider) Option {
	return func(c *config) {
		if p != nil {
			c.meters = p
		}
	}
}

// WithPropagator sets how Trace writes the context that goes to the new process. Left out or nil, that is
// propagation.TraceContext, whatever the global propagator is. Both versions of a program need one that reads what the other
// one writes; otherwise the new process begins a trace of its own.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(c *config) {
		if p != nil {
			c.propagator = p
		}
	}
}
