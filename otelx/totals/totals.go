// Package totals gives an OpenTelemetry SDK the counts of a whole service, through all its upgrades.
//
//	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(totals.NewProducer()))
//	provider := metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(res))
//
// Where otelx.Metrics has each process tell what it has counted itself, here the current process alone tells all of it: the
// counters and histograms are those of core.Totals, as exact, with the time at which the first process began as their start. An
// upgrade does not reset them. Use one of the two, because the names are the same.
//
// All processes have to be one to the receiver. So the resource must be the same in each: no service.instance.id that is made up
// by each process, and no process.pid. The exporter's temporality must be cumulative, as it is unless it is set: a producer
// can't tell what was sent last.
package totals

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/otelx/internal/figures"
)

// NewProducer returns a producer of core.Totals. It produces nothing in a process that is not current, nor in one that
// stops without having been.
func NewProducer() metric.Producer {
	return &producer{figures.Core}
}

type producer struct{ figures.Source }

// Produce returns the counts of the service.
func (p *producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	now := p.Now()
	if !now.Answers {
		return nil, nil
	}
	t := now.Totals
	at := moment{t.Since, time.Now()}
	var all []metricdata.Metrics
	for _, c := range figures.Counters {
		all = append(all, named(c.Name, at.sum(c.Of(t.Total), true)))
	}
	for _, l := range figures.Levels {
		var sum int64
		for _, a := range t.Processes {
			sum += l.Of(a.Open)
		}
		all = append(all, named(l.Name, at.sum([]figures.Point{{Value: sum}}, false)))
	}
	for _, g := range figures.Gauges {
		all = append(all, named(g.Name, metricdata.Gauge[int64]{DataPoints: at.points(g.Of(t), false)}))
	}
	all = append(all,
		named(figures.UpgradeDuration, at.histogram(t.Total.UpgradeSeconds)),
		named(figures.DrainDuration, at.histogram(t.Total.DrainSeconds)))
	return []metricdata.ScopeMetrics{{
		Scope:   instrumentation.Scope{Name: figures.Scope, SchemaURL: semconv.SchemaURL},
		Metrics: all,
	}}, nil
}

func named(n figures.Name, data metricdata.Aggregation) metricdata.Metrics {
	return metricdata.Metrics{Name: n.Name, Unit: n.Unit, Description: n.Description, Data: data}
}

// moment is when the service began, and now.
type moment struct{ since, now time.Time }

func (m moment) points(points []figures.Point, cumulative bool) []metricdata.DataPoint[int64] {
	out := make([]metricdata.DataPoint[int64], len(points))
	for i, p := range points {
		out[i] = metricdata.DataPoint[int64]{Attributes: p.Attrs, Time: m.now, Value: p.Value}
		if cumulative {
			out[i].StartTime = m.since
		}
	}
	return out
}

func (m moment) sum(points []figures.Point, monotonic bool) metricdata.Sum[int64] {
	return metricdata.Sum[int64]{
		DataPoints: m.points(points, true), Temporality: metricdata.CumulativeTemporality, IsMonotonic: monotonic,
	}
}

// histogram has all bounds at any time: those of core.Totals come with what is counted.
func (m moment) histogram(h control.Histogram) metricdata.Histogram[float64] {
	p := metricdata.HistogramDataPoint[float64]{
		StartTime: m.since, Time: m.now, Count: h.Count, Sum: h.Sum,
		Bounds: figures.Bounds, BucketCounts: make([]uint64, len(figures.Bounds)+1),
	}
	var within uint64
	for _, b := range h.Buckets {
		p.BucketCounts[figures.Bucket(b.LE)] += b.Count
		within += b.Count
	}
	p.BucketCounts[len(figures.Bounds)] += h.Count - within
	return metricdata.Histogram[float64]{DataPoints: []metricdata.HistogramDataPoint[float64]{p}, Temporality: metricdata.CumulativeTemporality}
}
