package otelx

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/otelx/internal/figures"
)

// Metrics makes instruments of what core.Totals counts:
//
//	ginx.Run(r, ":8080", otelx.Metrics())
//
// Each process tells what it has counted itself: a counter begins at zero in each process, and the
// sum over all processes is that of the service. The current process also tells the facts about all of them, such as how many
// there are. docs/tracing.md lists the metrics, and package totals has counters that go on through upgrades.
//
// The last counts of a process are sent if an OnEnd hook flushes the program's provider:
//
//	core.OnEnd(func(ctx context.Context) { _ = provider.Shutdown(ctx) })
func Metrics(opts ...Option) core.Option {
	m := &metrics{source: figures.Core}
	m.register(newConfig(opts).meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)))
	return core.OnEvent(m.event)
}

// metrics tells a meter what this process has counted.
type metrics struct {
	source  figures.Source
	observe []func(metric.Observer, figures.Moment)

	upgrades, drains metric.Float64Histogram
	mu               sync.Mutex
	draining         map[string]time.Time // when a drain has begun, by the attempt
	concluded        string               // the attempt that was the last one
}

// register makes the instruments. An error is OpenTelemetry's to handle: what it is about does not work, and the rest does.
func (m *metrics) register(meter metric.Meter) {
	m.draining = map[string]time.Time{}
	var all []metric.Observable
	for _, c := range figures.Counters {
		counter, err := meter.Int64ObservableCounter(c.Name.Name, metric.WithUnit(c.Unit), metric.WithDescription(c.Description))
		handle(err)
		all = append(all, counter)
		m.observe = append(m.observe, func(o metric.Observer, now figures.Moment) { observe(o, counter, c.Of(now.Own.Counts)) })
	}
	for _, l := range figures.Levels {
		level, err := meter.Int64ObservableUpDownCounter(l.Name.Name, metric.WithUnit(l.Unit), metric.WithDescription(l.Description))
		handle(err)
		all = append(all, level)
		m.observe = append(m.observe, func(o metric.Observer, now figures.Moment) { o.ObserveInt64(level, l.Of(now.Own.Open)) })
	}
	for _, g := range figures.Gauges {
		gauge, err := meter.Int64ObservableGauge(g.Name.Name, metric.WithUnit(g.Unit), metric.WithDescription(g.Description))
		handle(err)
		all = append(all, gauge)
		m.observe = append(m.observe, func(o metric.Observer, now figures.Moment) {
			if now.Answers {
				observe(o, gauge, g.Of(now.Totals))
			}
		})
	}
	m.upgrades = histogram(meter, figures.UpgradeDuration)
	m.drains = histogram(meter, figures.DrainDuration)
	_, err := meter.RegisterCallback(m.collect, all...)
	handle(err)
}

func handle(err error) {
	if err != nil {
		otel.Handle(err)
	}
}

func histogram(meter metric.Meter, n figures.Name) metric.Float64Histogram {
	h, err := meter.Float64Histogram(n.Name, metric.WithUnit(n.Unit), metric.WithDescription(n.Description),
		metric.WithExplicitBucketBoundaries(figures.Bounds...))
	handle(err)
	return h
}

func observe(o metric.Observer, what metric.Int64Observable, points []figures.Point) {
	for _, p := range points {
		o.ObserveInt64(what, p.Value, metric.WithAttributeSet(p.Attrs))
	}
}

// collect tells the numbers of this moment. A process that does not serve yet has none.
func (m *metrics) collect(_ context.Context, o metric.Observer) error {
	if now := m.source.Now(); now.Knows {
		for _, f := range m.observe {
			f(o, now)
		}
	}
	return nil
}

// event counts durations.
func (m *metrics) event(e core.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx := context.Background()
	switch e.Step {
	case control.StepConcluded:
		// One that was taken back has two outcomes, of which the first one is when it took effect.
		if o := e.Outcome; o != nil && o.Kind != control.KindRefused && e.Attempt != m.concluded {
			m.concluded = e.Attempt
			m.upgrades.Record(ctx, o.Took.Seconds(), metric.WithAttributes(figures.Upgrade(o.Kind, "")...))
		}
	case control.StepDraining, control.StepStopping:
		if _, ok := m.draining[e.Attempt]; !ok {
			m.draining[e.Attempt] = e.Time
		}
	case control.StepDrained, control.StepStopped:
		if began, ok := m.draining[e.Attempt]; ok {
			m.drains.Record(ctx, max(0, e.Time.Sub(began)).Seconds())
		}
		delete(m.draining, e.Attempt)
	case control.StepTakenBack:
		delete(m.draining, e.Attempt)
	}
}
