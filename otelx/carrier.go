package otelx

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/propagation"
)

// write returns what the propagator says of ctx as lines, such as "traceparent: 00-4bf9...-01". It is empty if there is
// nothing to say.
func write(ctx context.Context, p propagation.TextMapPropagator) string {
	carrier := propagation.MapCarrier{}
	p.Inject(ctx, carrier)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(carrier)) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(key + ": " + carrier[key])
	}
	return b.String()
}

// read returns a context with what write has written. What is not understood changes nothing.
func read(lines string, p propagation.TextMapPropagator) context.Context {
	carrier := propagation.MapCarrier{}
	for line := range strings.Lines(lines) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			carrier[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return p.Extract(context.Background(), carrier)
}
