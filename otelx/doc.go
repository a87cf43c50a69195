// Package otelx shows upgrades to OpenTelemetry. Each upgrade is a trace, with spans of the old and of the new process, and what
// core.Totals counts are metrics:
//
//	err := ginx.Run(r, ":8080",
//		otelx.Trace(),
//		otelx.Metrics(),
//		core.OnEnd(func(ctx context.Context) { _ = errors.Join(tracers.Shutdown(ctx), meters.Shutdown(ctx)) }),
//	)
//
// Both are options of core, so they fit every adapter. They need the API of OpenTelemetry only: the program chooses the SDK, the
// exporter and the sampler, and makes a provider in each process, as it does without upgrades.
//
// The OnEnd hook sends the last spans and counts of a process. Without it those of its drain are lost. Core calls it when all
// events of the process have been told, and it has 4 s.
//
// docs/tracing.md lists the spans, the metrics and their attributes.
package otelx
