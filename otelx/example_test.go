package otelx_test

import (
	"context"
	"errors"
	"log"
	"net/http"

	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/otelx"
)

func ExampleTrace() {
	tracers := sdktrace.NewTracerProvider() // with an exporter
	otel.SetTracerProvider(tracers)

	err := core.ListenAndServe(":8080", http.NotFoundHandler(),
		otelx.Trace(),
		core.OnEnd(func(ctx context.Context) { _ = tracers.Shutdown(ctx) }), // sends the last spans of this process
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleMetrics() {
	meters := sdkmetric.NewMeterProvider() // with a reader

	err := core.ListenAndServe(":8080", http.NotFoundHandler(),
		otelx.Metrics(otelx.WithMeterProvider(meters)),
		core.OnEnd(func(ctx context.Context) { _ = meters.Shutdown(ctx) }), // sends the last counts of this process
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleWithPropagator() {
	// The global one, which the program has set.
	_ = otelx.Trace(otelx.WithPropagator(otel.GetTextMapPropagator()))
}
