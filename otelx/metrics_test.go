package otelx

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/otelx/internal/figures"
)

// meter reads what the metrics of a made-up process are.
type meter struct {
	t *testing.T
	*metric.ManualReader
	*metrics
	told  control.Totals
	state core.State
}

func newMeter(t *testing.T) *meter {
	m := &meter{t: t, ManualReader: metric.NewManualReader()}
	m.metrics = &metrics{source: figures.Source{
		Totals: func() control.Totals { return m.told }, State: func() core.State { return m.state }, Upgrading: func() bool { return true },
	}}
	m.register(newConfig([]Option{WithMeterProvider(metric.NewMeterProvider(metric.WithReader(m.ManualReader)))}).meters.Meter(scope))
	return m
}

// read returns a line for each number, such as "gracex.upgrades{gracex.upgrade.outcome=upgraded} 3", in their order.
func (m *meter) read() (lines []string) {
	m.t.Helper()
	var all metricdata.ResourceMetrics
	if err := m.Collect(context.Background(), &all); err != nil {
		m.t.Fatal(err)
	}
	for _, s := range all.ScopeMetrics {
		for _, one := range s.Metrics {
			switch data := one.Data.(type) {
			case metricdata.Sum[int64]:
				lines = append(lines, points(one.Name, data.DataPoints)...)
			case metricdata.Gauge[int64]:
				lines = append(lines, points(one.Name, data.DataPoints)...)
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					lines = append(lines, fmt.Sprintf("%s%s %d in %vs", one.Name, labels(p.Attributes), p.Count, p.Sum))
					if !slices.Equal(p.Bounds, figures.Bounds) {
						m.t.Errorf("the bounds of %s are %v", one.Name, p.Bounds)
					}
				}
			default:
				m.t.Errorf("%s is a %T", one.Name, data)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func points(name string, all []metricdata.DataPoint[int64]) (lines []string) {
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("%s%s %d", name, labels(p.Attributes), p.Value))
	}
	return lines
}

func labels(set attribute.Set) string {
	if set.Len() == 0 {
		return ""
	}
	return "{" + set.Encoded(attribute.DefaultEncoder()) + "}"
}

// want compares it with the wanted lines, in any order.
func (m *meter) want(want string) {
	m.t.Helper()
	wanted := slices.Sorted(strings.SplitSeq(strings.TrimSpace(strings.ReplaceAll(want, "\t", "")), "\n"))
	if want == "" {
		wanted = nil
	}
	if got := m.read(); !slices.Equal(got, wanted) {
		m.t.Errorf("the metrics are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
}

func someCounts(n uint64) control.Counts {
	return control.Counts{
		Servers: []control.ServerCounts{{Server: "public", Requests: 10 * n, Accepted: 5 * n}, {Server: "other", Requests: n}},
		Refused: n, ClosedPolitely: 2 * n, ClosedIdle: 3 * n,
		Moved:       []control.MovedCounts{{Protocol: control.ProtocolHTTP2, TLS: true, Connections: 4 * n}},
		StateBytes:  1000 * n,
		Stayed:      []control.StayedCounts{{Protocol: "tls", Reason: "version", Connections: n}},
		CutRequests: n, CutConnections: 2 * n, CutHijacked: 3 * n, CutSockets: 4 * n, CutBackground: 5 * n,
		Upgrades: []control.UpgradeCounts{
			{Outcome: control.KindUpgraded, Count: n},
			{Outcome: control.KindRefused, Reason: control.ReasonVetoed, Count: 2 * n},
		},
	}
}

// TestMetrics: a process tells what it has counted itself, and the current one the facts about all.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := newMeter(t)
	m.want("") // nothing serves
	m.state = core.StateUpgrading
	m.told = control.Totals{
		Total: someCounts(100), LastSuccess: time.Unix(1700000000, 0), MissingCount: 2,
		Processes: []control.Account{
			{PID: -1, State: "starting"},
			{PID: os.Getpid(), State: "upgrading", Generation: 7, Counts: someCounts(1), Open: control.Open{Requests: 1, Connections: 2, Hijacked: 3}},
			{PID: -2, State: "draining", Counts: someCounts(5)}, {PID: -3, State: "draining"},
		},
	}
	own := `
	gracex.background.cut 5
	gracex.connections.accepted{gracex.server.name=other} 0
	gracex.connections.accepted{gracex.server.name=public} 5
	gracex.connections.closed{gracex.connection.close_cause=idle} 3
	gracex.connections.closed{gracex.connection.close_cause=last_answer} 2
	gracex.connections.cut 2
	gracex.connections.moved_state 1000
	gracex.connections.moved{gracex.connection.protocol=http2,gracex.connection.tls=true} 4
	gracex.connections.open 2
	gracex.connections.refused 1
	gracex.connections.stayed{gracex.connection.protocol=tls,gracex.connection.stay_reason=version} 1
	gracex.hijacked_connections.cut 3
	gracex.hijacked_connections.open 3
	gracex.requests.cut 1
	gracex.requests.open 1
	gracex.requests.served{gracex.server.name=other} 1
	gracex.requests.served{gracex.server.name=public} 10
	gracex.sockets.cut 4
	gracex.upgrades{error.type=vetoed,gracex.upgrade.outcome=refused} 2
	gracex.upgrades{gracex.upgrade.outcome=upgraded} 1`
	m.want(own + `
	gracex.generation 7
	gracex.generations{gracex.state=draining} 2
	gracex.generations{gracex.state=starting} 1
	gracex.generations{gracex.state=upgrading} 1
	gracex.processes.missing 2
	gracex.upgrade.last_success.time 1700000000`)
	m.state = core.StateProbation // now the new process tells the facts
	m.want(own)
}

// TestDurations: the upgrades and the drains of this process are counted as the events tell them.
func TestDurations(t *testing.T) {
	t.Parallel()
	m := newMeter(t)
	began := time.Now()
	tell := func(step string, at float64, attempt string, o *control.Outcome) {
		m.event(core.Event{Step: step, Time: began.Add(time.Duration(at * float64(time.Second))), Attempt: attempt, Outcome: o})
	}
	concluded := func(attempt, kind string, took time.Duration) {
		tell(control.StepConcluded, 0, attempt, &control.Outcome{Kind: kind, Took: took})
	}
	concluded("a", control.KindUpgraded, time.Second)
	concluded("a", control.KindRolledBack, 9*time.Second) // it is taken back
	concluded("b", control.KindUpgraded, 2*time.Second)
	concluded("c", control.KindRolledBack, 3*time.Second)
	concluded("d", control.KindRefused, time.Second)
	tell(control.StepConcluded, 0, "x", nil)
	tell(control.StepDraining, 1, "a", nil)
	tell(control.StepTakenBack, 2, "a", nil)
	tell(control.StepDraining, 3, "b", nil)
	tell(control.StepDraining, 4, "b", nil)
	tell(control.StepStopping, 5, "", nil)
	tell(control.StepDrained, 6.5, "b", nil)
	tell(control.StepStopped, 7, "", nil)
	tell(control.StepStopped, 9, "", nil)
	tell(control.StepDrained, 9, "a", nil)
	m.want(`
	gracex.drain.duration 2 in 5.5s
	gracex.upgrade.duration{gracex.upgrade.outcome=rolled_back} 1 in 3s
	gracex.upgrade.duration{gracex.upgrade.outcome=upgraded} 2 in 3s
	`)
}
