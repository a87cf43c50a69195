package totals

import (
	"context"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/otelx/internal/figures"
)

// collect returns what a reader gets of a service, by the names of the metrics.
func collect(t *testing.T, totals control.Totals, state core.State, upgrading bool) map[string]metricdata.Aggregation {
	t.Helper()
	reader := metric.NewManualReader(metric.WithProducer(&producer{figures.Source{
		Totals: func() control.Totals { return totals }, State: func() core.State { return state }, Upgrading: func() bool { return upgrading },
	}}))
	metric.NewMeterProvider(metric.WithReader(reader))
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]metricdata.Aggregation{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			found[m.Name] = m.Data
			if m.Unit == "" || m.Description == "" {
				t.Errorf("%s has the unit %q and the description %q", m.Name, m.Unit, m.Description)
			}
		}
	}
	return found
}

// TestProducer: what is counted is that of all processes, since the first one began.
func TestProducer(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var took control.Histogram
	for _, d := range []time.Duration{time.Millisecond, 9 * time.Millisecond, time.Second, 2 * time.Second, 2 * time.Hour} {
		took.Observe(d, figures.Bounds)
	}
	totals := control.Totals{
		Since: since,
		Total: control.Counts{
			Servers:        []control.ServerCounts{{Server: "a", Requests: 3}, {Server: "b", Requests: 4}},
			Upgrades:       []control.UpgradeCounts{{Outcome: control.KindUpgraded, Count: 5}},
			UpgradeSeconds: took,
		},
		Processes: []control.Account{
			{PID: os.Getpid(), State: "current", Generation: 9, Open: control.Open{Requests: 1}}, {State: "draining", Open: control.Open{Requests: 2}},
		},
	}
	all := collect(t, totals, core.StateCurrent, true)

	requests := all["gracex.requests.served"].(metricdata.Sum[int64])
	if !requests.IsMonotonic || requests.Temporality != metricdata.CumulativeTemporality || len(requests.DataPoints) != 2 {
		t.Errorf("the requests are %+v", requests)
	}
	var sum int64
	for _, p := range requests.DataPoints {
		sum += p.Value
		if !p.StartTime.Equal(since) || p.Time.IsZero() {
			t.Errorf("the requests are those from %v to %v", p.StartTime, p.Time)
		}
	}
	if sum != 7 {
		t.Errorf("%d requests", sum)
	}
	open := all["gracex.requests.open"].(metricdata.Sum[int64])
	if open.IsMonotonic || open.DataPoints[0].Value != 3 {
		t.Errorf("the open requests are %+v", open)
	}
	if current := all["gracex.generation"].(metricdata.Gauge[int64]); current.DataPoints[0].Value != 9 {
		t.Errorf("the generation is %+v", current)
	}

	h := all["gracex.upgrade.duration"].(metricdata.Histogram[float64])
	p := h.DataPoints[0]
	want := make([]uint64, len(figures.Bounds)+1)
	want[0], want[slices.Index(figures.Bounds, 1)], want[slices.Index(figures.Bounds, 2.5)], want[len(figures.Bounds)] = 2, 1, 1, 1
	if p.Count != 5 || p.Sum != took.Sum || !reflect.DeepEqual(p.BucketCounts, want) || !slices.Equal(p.Bounds, figures.Bounds) ||
		!p.StartTime.Equal(since) || h.Temporality != metricdata.CumulativeTemporality {
		t.Errorf("the durations are %+v", h)
	}
	if none := all["gracex.drain.duration"].(metricdata.Histogram[float64]).DataPoints[0]; none.Count != 0 || len(none.BucketCounts) != len(figures.Bounds)+1 {
		t.Errorf("no drain is %+v", none)
	}
}

// TestProducer_OnlyOne: only the process that has the service tells its totals, so that none is counted twice.
func TestProducer_OnlyOne(t *testing.T) {
	t.Parallel()
	since := time.Now()
	tells := func(state core.State, upgrading bool, started time.Time) bool {
		return len(collect(t, control.Totals{Since: since, Processes: []control.Account{{PID: os.Getpid(), Started: started}}}, state, upgrading)) > 0
	}
	for state := core.StateNone; state <= core.StateStopped; state++ {
		want := state == core.StateCurrent || state == core.StateUpgrading || state == core.StateStopping
		if got := tells(state, true, since.Add(time.Second)); got != want {
			t.Errorf("in the state %v it tells: %v", state, got)
		}
	}
	if !tells(core.StateCurrent, true, since) {
		t.Error("the first process whose gracex counts does not tell")
	}
	if tells(core.StateStopping, true, since) {
		t.Error("a new process that has failed tells")
	}
	if !tells(core.StateStopping, false, since) {
		t.Error("the first process does not tell when it stops")
	}
	if len(collect(t, control.Totals{}, core.StateCurrent, false)) > 0 {
		t.Error("it tells of a process that it does not know")
	}
}
