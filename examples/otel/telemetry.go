package main

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// telemetry makes the providers that are used where none is named. The function that it returns sends what they have not
// sent yet. It is for the end of the process, and ends with its context.
func telemetry(ctx context.Context) (shutdown func(context.Context), err error) {
	spans, err := otlptracegrpc.New(ctx) // by the environment
	if err != nil {
		return nil, err
	}
	numbers, err := otlpmetricgrpc.New(ctx)
	if err != nil {
		return nil, err
	}
	// Each generation is a process of its own, with its own service.instance.id, which WithService makes up.
	res, err := resource.New(ctx, resource.WithService(), resource.WithProcessPID(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	tracers := trace.NewTracerProvider(trace.WithBatcher(spans), trace.WithResource(res))
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(numbers)), metric.WithResource(res))
	otel.SetTracerProvider(tracers)
	otel.SetMeterProvider(meters)
	return func(ctx context.Context) {
		if err := errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx)); err != nil {
			slog.Error("the last spans and counts were not sent", "error", err)
		}
	}, nil
}
