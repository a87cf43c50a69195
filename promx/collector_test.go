package promx

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/must"
)

// telling is a Collector of these totals.
func telling(t control.Totals) *Collector {
	return NewCollector(nil, WithSource(nil), WithSource(func() (control.Totals, error) { return t, nil }))
}

// example has something of everything.
func example() control.Totals {
	at := time.Unix(1_700_000_000, 250_000_000)
	var took, drained control.Histogram
	for _, d := range []time.Duration{3 * time.Second, 3125 * time.Millisecond, 2 * time.Hour} {
		took.Observe(d, bounds)
	}
	drained.Observe(5*time.Millisecond, bounds)
	return control.Totals{
		Since: at, LastSuccess: at.Add(time.Hour), LastFailure: at.Add(2 * time.Hour),
		MissingCount: 2,
		Total: control.Counts{
			Servers:        []control.ServerCounts{{Server: "public", Requests: 100, Accepted: 10}, {Server: "metrics", Requests: 7, Accepted: 1}},
			Refused:        1,
			ClosedPolitely: 2, ClosedIdle: 3,
			Moved:       []control.MovedCounts{{Protocol: control.ProtocolHTTP1, Connections: 4}, {Protocol: control.ProtocolHTTP2, TLS: true, Connections: 5}},
			StateBytes:  6,
			Stayed:      []control.StayedCounts{{Protocol: "http2", Reason: "streams", Connections: 7}, {Protocol: "tls", Reason: "suite", Connections: 8}},
			CutRequests: 9, CutConnections: 10, CutHijacked: 11, CutSockets: 12, CutBackground: 13,
			Upgrades: []control.UpgradeCounts{
				{Outcome: control.KindUpgraded, Count: 20},
				{Outcome: control.KindFailed, Reason: control.ReasonExited, Count: 3},
				{Outcome: control.KindRolledBack, Reason: "of tomorrow", Count: 1},
			},
			UpgradeSeconds: took, DrainSeconds: drained,
		},
		Processes: []control.Account{
			{Generation: 22, State: core.StateStarting.String(), Version: "v3"},
			{Generation: 21, State: core.StateUpgrading.String(), Version: "v2", Open: control.Open{Requests: 3, Connections: 30, Hijacked: 2}},
			{Generation: 20, State: core.StateDraining.String(), Version: "v1", Open: control.Open{Requests: 1, Connections: 1}},
			{Generation: 19, State: core.StateDraining.String(), Version: "v0", Open: control.Open{Hijacked: 5}},
		},
	}
}

// Each count is in its metric, under its labels.
func TestCollect(t *testing.T) {
	t.Parallel()
	got := gather(t, telling(example()))
	for series, want := range map[string]float64{
		`gracex_generation`:              21,
		`gracex_start_timestamp_seconds`: 1_700_000_000.25,

		`gracex_requests_total{server="public"}`:              100,
		`gracex_requests_total{server="metrics"}`:             7,
		`gracex_connections_accepted_total{server="public"}`:  10,
		`gracex_connections_accepted_total{server="metrics"}`: 1,

		`gracex_connections_refused_total`:                                   1,
		`gracex_connections_closed_total{reason="last_answer"}`:              2,
		`gracex_connections_closed_total{reason="idle"}`:                     3,
		`gracex_connections_moved_total{protocol="http1",tls="false"}`:       4,
		`gracex_connections_moved_total{protocol="http1",tls="true"}`:        0,
		`gracex_connections_moved_total{protocol="http2",tls="true"}`:        5,
		`gracex_moved_state_bytes_total`:                                     6,
		`gracex_connections_stayed_total{protocol="http2",reason="streams"}`: 7,
		`gracex_connections_stayed_total{protocol="tls",reason="suite"}`:     8,

		`gracex_requests_cut_total`:             9,
		`gracex_connections_cut_total`:          10,
		`gracex_hijacked_connections_cut_total`: 11,
		`gracex_sockets_cut_total`:              12,
		`gracex_background_cut_total`:           13,

		`gracex_upgrades_total{outcome="upgraded",reason=""}`:               20,
		`gracex_upgrades_total{outcome="failed",reason="exited"}`:           3,
		`gracex_upgrades_total{outcome="failed",reason="said_failed"}`:      0,
		`gracex_upgrades_total{outcome="rolled_back",reason="of tomorrow"}`: 1,
		`gracex_last_upgrade_success_timestamp_seconds`:                     1_700_003_600.25,
		`gracex_last_upgrade_failure_timestamp_seconds`:                     1_700_007_200.25,

		`gracex_generations{state="starting"}`:                1,
		`gracex_generations{state="upgrading"}`:               1,
		`gracex_generations{state="current"}`:                 0,
		`gracex_generations{state="draining"}`:                2,
		`gracex_open_requests{state="upgrading"}`:             3,
		`gracex_open_requests{state="draining"}`:              1,
		`gracex_open_connections{state="upgrading"}`:          30,
		`gracex_open_connections{state="draining"}`:           1,
		`gracex_open_hijacked_connections{state="upgrading"}`: 2,
		`gracex_open_hijacked_connections{state="draining"}`:  5,

		`gracex_missing_processes_total`: 2,

		`gracex_upgrade_duration_seconds_count`:             3,
		`gracex_upgrade_duration_seconds_sum`:               7206.125,
		`gracex_upgrade_duration_seconds_bucket{le="2.5"}`:  0,
		`gracex_upgrade_duration_seconds_bucket{le="5"}`:    2,
		`gracex_upgrade_duration_seconds_bucket{le="3600"}`: 2,
		`gracex_drain_duration_seconds_count`:               1,
		`gracex_drain_duration_seconds_bucket{le="0.01"}`:   1,
		`gracex_drain_duration_seconds_bucket{le="3600"}`:   1,
	} {
		if v, ok := got.values[series]; !ok || math.Abs(v-want) > 1e-9 {
			t.Errorf("%s is %v (there: %v), want %v", series, v, ok, want)
		}
	}
	var infos []string
	for series := range got.values {
		if strings.HasPrefix(series, "gracex_build_info{") {
			infos = append(infos, series)
		}
	}
	if len(infos) != 1 || !strings.HasPrefix(infos[0], `gracex_build_info{generation="21",goversion="go1.`) || !strings.HasSuffix(infos[0], `,version="v2"}`) {
		t.Errorf("want the process that serves alone: %q", infos)
	}
}

// What can be known before is there before it happens.
func TestCollect_NothingYet(t *testing.T) {
	t.Parallel()
	got := gather(t, telling(control.Totals{}))
	for name, series := range map[string]int{
		"gracex_generations": len(knownStates), "gracex_open_requests": len(knownStates),
		"gracex_connections_moved_total": 4 * 2, "gracex_connections_closed_total": 2,
		"gracex_connections_stayed_total": len(knownStayed), "gracex_upgrades_total": len(knownUpgrades),
		"gracex_last_upgrade_success_timestamp_seconds": 1, "gracex_start_timestamp_seconds": 1,
		"gracex_upgrade_duration_seconds": len(bounds) + 2, "gracex_drain_duration_seconds": len(bounds) + 2,
	} {
		n := 0
		for s, v := range got.values {
			if base, _, _ := strings.Cut(s, "{"); base != name && strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(base, "_bucket"), "_sum"), "_count") != name {
				continue
			}
			if n++; v != 0 {
				t.Errorf("%s is %v", s, v)
			}
		}
		if n != series {
			t.Errorf("%s has %d series, want %d", name, n, series)
		}
	}
	for _, f := range got.families {
		if f.GetName() == "gracex_requests_total" {
			t.Error("which servers there are is not known")
		}
	}
	if later := gather(t, telling(example())); len(later.values) < len(got.values)+4 { // two servers, each with two metrics
		t.Errorf("%d series become %d", len(got.values), len(later.values))
	}
}

// The bounds of a histogram that is told can be other ones.
func TestCollect_OtherBounds(t *testing.T) {
	t.Parallel()
	h := control.Histogram{Count: 9, Sum: 12.5, Buckets: []control.Bucket{{LE: 1, Count: 2}, {LE: 3, Count: 4}, {LE: 5, Count: 1}}}
	got := gather(t, telling(control.Totals{Total: control.Counts{DrainSeconds: h}}))
	for le, want := range map[string]float64{"0.5": 0, "1": 2, "2.5": 2, "3": 6, "5": 7, "10": 7, "3600": 7} {
		if v, ok := got.values[`gracex_drain_duration_seconds_bucket{le="`+le+`"}`]; !ok || v != want {
			t.Errorf("le=%s: %v, %v, want %v", le, v, ok, want)
		}
	}
	if n := got.values["gracex_drain_duration_seconds_count"]; n != 9 {
		t.Errorf("%v in all", n)
	}
}

// A name that no label can have, or that comes twice, fails no scrape and loses no count.
func TestCollect_OddNames(t *testing.T) {
	t.Parallel()
	got := gather(t, telling(control.Totals{
		Total: control.Counts{Servers: []control.ServerCounts{
			{Server: "a\xff", Requests: 1}, {Server: "a\xfe", Requests: 2}, {Server: "", Requests: 4}, {Server: "one\ntwo\"", Requests: 8},
		}},
		Processes: []control.Account{{State: "of tomorrow", Version: "v\xff", Open: control.Open{Requests: -1}}},
	}))
	for series, want := range map[string]float64{
		`gracex_requests_total{server="a?"}`:         3,
		`gracex_requests_total{server=""}`:           4,
		`gracex_requests_total{server="one\ntwo\""}`: 8,
		`gracex_generations{state="of tomorrow"}`:    1,
		`gracex_open_requests{state="of tomorrow"}`:  0,
	} {
		if v, ok := got.values[series]; !ok || v != want {
			t.Errorf("%s is %v (there: %v), want %v", series, v, ok, want)
		}
	}
}

// The process that serves is told, whichever of them answers.
func TestCurrent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		states []core.State // newest first
		want   int          // its place
	}{
		{[]core.State{core.StateCurrent}, 0},
		{[]core.State{core.StateStarting}, 0},
		{[]core.State{core.StateStarting, core.StateUpgrading, core.StateDraining}, 1},
		{[]core.State{core.StateCurrent, core.StateProbation, core.StateDraining}, 0},
		{[]core.State{core.StateDraining, core.StateCurrent}, 1}, // rolled back
		{[]core.State{core.StateStopping, core.StateDraining}, 0},
	} {
		var all []control.Account
		for i, s := range tt.states {
			all = append(all, control.Account{Generation: i, State: s.String()})
		}
		if p := current(all); p.Generation != tt.want {
			t.Errorf("%v: the one in place %d, want %d", tt.states, p.Generation, tt.want)
		}
	}
}

// A scrape without figures is none with zeros.
func TestCollect_NoAnswer(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	silent := errors.New("nobody answers")
	must.Do(t, reg.Register(NewCollector(WithSource(func() (control.Totals, error) { return example(), silent }))))
	if all, err := reg.Gather(); err == nil || !strings.Contains(err.Error(), silent.Error()) || len(all) > 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// Several scrapes at a time are as good as one.
func TestCollect_AtOnce(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	must.Do(t, reg.Register(telling(example())))
	var scrapes sync.WaitGroup
	for range 8 {
		scrapes.Go(func() {
			for range 10 {
				if _, err := reg.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	scrapes.Wait()
}

// The words are those of core, and none is missing.
func TestKnown(t *testing.T) {
	t.Parallel()
	var stay [][]string
	for protocol, of := range map[string]any{"http2": core.StayedHTTP2{}, "tls": core.StayedTLS{}} {
		fields := reflect.TypeOf(of)
		for i := range fields.NumField() {
			stay = append(stay, []string{protocol, strings.ToLower(fields.Field(i).Name)})
		}
	}
	var states [][]string
	for s := core.StateStarting; s < core.StateStopped; s++ {
		states = append(states, []string{s.String()})
	}
	for name, tt := range map[string]struct{ got, want [][]string }{"stayed": {knownStayed, stay}, "states": {knownStates, states}} {
		set := func(all [][]string) map[string]bool {
			m := map[string]bool{}
			for _, labels := range all {
				m[strings.Join(labels, "/")] = true
			}
			return m
		}
		if got, want := set(tt.got), set(tt.want); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, and core has %v", name, got, want)
		}
	}
}

// The names keep Prometheus' conventions.
func TestNames(t *testing.T) {
	t.Parallel()
	problems, err := testutil.CollectAndLint(telling(example()))
	must.Do(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, f := range gather(t, telling(example())).families {
		if !strings.HasPrefix(f.GetName(), "gracex_") || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s: %s", f.GetName(), f.GetHelp())
		}
	}
}

// gathered are the metrics of a scrape.
type gathered struct {
	families []*dto.MetricFamily
	values   map[string]float64 // by what Prometheus calls a series
}

// gather scrapes a Collector with a registry that checks everything.
func gather(t *testing.T, c prometheus.Collector) gathered {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	must.Do(t, reg.Register(c))
	g := gathered{must.Get(reg.Gather())(t), map[string]float64{}}
	for _, f := range g.families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+quote(l.GetValue()))
			}
			name := func(suffix string, more ...string) string {
				if all := slices.Concat(labels, more); len(all) > 0 {
					return f.GetName() + suffix + "{" + strings.Join(all, ",") + "}"
				}
				return f.GetName() + suffix
			}
			if h := m.GetHistogram(); h != nil {
				g.values[name("_count")], g.values[name("_sum")] = float64(h.GetSampleCount()), h.GetSampleSum()
				for _, b := range h.GetBucket() {
					g.values[name("_bucket", "le="+quote(number(b.GetUpperBound())))] = float64(b.GetCumulativeCount())
				}
				continue
			}
			g.values[name("")] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return g
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// BenchmarkCollect is what a scrape costs, without the writing.
func BenchmarkCollect(b *testing.B) {
	reg := prometheus.NewRegistry()
	must.Do(b, reg.Register(telling(example())))
	for b.Loop() {
		must.Get(reg.Gather())(b)
	}
}
