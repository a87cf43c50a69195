package promx

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
)

// Collector is a prometheus.Collector of the counts of a service. Any goroutine may use it. It keeps nothing, so it
// costs nothing between two scrapes.
type Collector struct {
	source func() (control.Totals, error)
}

var _ prometheus.Collector = (*Collector)(nil)

// Option says more about a Collector.
type Option func(*Collector)

// WithSource has the Collector ask f at each scrape, for a program that tells of another one over its control socket.
// If f returns an error, the scrape fails with it. Left out or nil, it asks core.Totals of this process.
func WithSource(f func() (control.Totals, error)) Option {
	return func(c *Collector) {
		if f != nil {
			c.source = f
		}
	}
}

// NewCollector returns a Collector of the service that this process belongs to.
func NewCollector(opts ...Option) *Collector {
	c := &Collector{source: func() (control.Totals, error) { return core.Totals(), nil }}
	for _, o := range opts {
		if o != nil {
			o(c)
		}
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descriptions {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	t, err := c.source()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(buildInfo, err)
		return
	}
	s := scrape(ch)
	s.counts(t.Total)
	s.processes(t.Processes)
	s.gauge(startTime, seconds(t.Since))
	s.gauge(lastSuccess, seconds(t.LastSuccess))
	s.gauge(lastFailure, seconds(t.LastFailure))
	s.counter(missing, t.MissingCount)
}

// scrape is where the metrics of a scrape go.
type scrape chan<- prometheus.Metric

// counts sends what only grows.
func (s scrape) counts(c control.Counts) {
	asked, came := newSums(requests), newSums(accepted)
	for _, server := range c.Servers {
		asked.add(server.Requests, server.Server)
		came.add(server.Accepted, server.Server)
	}
	went := newSums(moved, knownMoved...)
	for _, m := range c.Moved {
		went.add(m.Connections, m.Protocol, strconv.FormatBool(m.TLS))
	}
	did := newSums(stayed, knownStayed...)
	for _, n := range c.Stayed {
		did.add(n.Connections, n.Protocol, n.Reason)
	}
	ended := newSums(upgrades, knownUpgrades...)
	for _, u := range c.Upgrades {
		ended.add(u.Count, u.Outcome, u.Reason)
	}
	left := newSums(closed)
	left.add(c.ClosedPolitely, closedPolitely)
	left.add(c.ClosedIdle, closedIdle)
	for _, sums := range []*sums{asked, came, went, did, ended, left} {
		s.send(sums, prometheus.CounterValue)
	}

	s.counter(refused, c.Refused)
	s.counter(movedState, c.StateBytes)
	s.counter(cutRequests, c.CutRequests)
	s.counter(cutConnections, c.CutConnections)
	s.counter(cutHijacked, c.CutHijacked)
	s.counter(cutSockets, c.CutSockets)
	s.counter(cutBackground, c.CutBackground)
	s.histogram(upgradeSeconds, c.UpgradeSeconds)
	s.histogram(drainSeconds, c.DrainSeconds)
}

// processes sends what the processes are and have open.
func (s scrape) processes(all []control.Account) {
	live, asking := newSums(generations, knownStates...), newSums(openRequests, knownStates...)
	open, hijacked := newSums(openConnections, knownStates...), newSums(openHijacked, knownStates...)
	for _, p := range all {
		live.add(1, p.State)
		asking.add(count(p.Open.Requests), p.State)
		open.add(count(p.Open.Connections), p.State)
		hijacked.add(count(p.Open.Hijacked), p.State)
	}
	for _, sums := range []*sums{live, asking, open, hijacked} {
		s.send(sums, prometheus.GaugeValue)
	}
	p := current(all)
	s.gauge(generation, float64(p.Generation))
	s <- prometheus.MustNewConstMetric(buildInfo, prometheus.GaugeValue, 1,
		label(p.Version), strconv.Itoa(p.Generation), runtime.Version())
}

// current is the process that serves what comes: the newest one that has ever been current.
func current(newestFirst []control.Account) (p control.Account) {
	for _, p := range newestFirst {
		if p.State == core.StateCurrent.String() || p.State == core.StateUpgrading.String() {
			return p
		}
	}
	if len(newestFirst) > 0 { // all of them start, or stop
		return newestFirst[0]
	}
	return p
}

func count(n int) uint64 { return uint64(max(n, 0)) }

// seconds is what Prometheus has as a time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMicro()) / 1e6
}

func (s scrape) counter(d *prometheus.Desc, n uint64) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
}

func (s scrape) gauge(d *prometheus.Desc, v float64) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
}

// bounds are those of the buckets that are always there.
var bounds = control.DurationBounds()

// histogram sends cumulative buckets. Those that a service has with other bounds come beside.
func (s scrape) histogram(d *prometheus.Desc, h control.Histogram) {
	buckets := make(map[float64]uint64, len(bounds))
	for _, le := range bounds {
		buckets[le] = 0
	}
	for _, b := range h.Buckets {
		buckets[b.LE] += b.Count
	}
	all, sum := make([]float64, 0, len(buckets)), uint64(0)
	for le := range buckets {
		all = append(all, le)
	}
	slices.Sort(all)
	for _, le := range all {
		sum += buckets[le]
		buckets[le] = sum
	}
	s <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum, buckets)
}

// sums are the values of a metric by those of its labels, which must not come twice.
type sums struct {
	of     *prometheus.Desc
	index  map[string]int
	labels [][]string
	values []uint64
}

// newSums begins with 0 for what is known.
func newSums(of *prometheus.Desc, known ...[]string) *sums {
	s := &sums{of: of, index: make(map[string]int, len(known))}
	for _, labels := range known {
		s.add(0, labels...)
	}
	return s
}

// add adds n to the value for these labels.
func (s *sums) add(n uint64, labels ...string) {
	valid := make([]string, len(labels))
	for i, l := range labels {
		valid[i] = label(l)
	}
	key := strings.Join(valid, "\xff") // which no valid one has
	i, ok := s.index[key]
	if !ok {
		i = len(s.values)
		s.index[key] = i
		s.labels, s.values = append(s.labels, valid), append(s.values, 0)
	}
	s.values[i] += n
}

// label is what can be the value of a label. A program chooses the names of its servers and its version, and a scrape
// fails with a value that is no UTF-8.
func label(s string) string { return strings.ToValidUTF8(s, "?") }

func (s scrape) send(v *sums, as prometheus.ValueType) {
	for i, labels := range v.labels {
		s <- prometheus.MustNewConstMetric(v.of, as, float64(v.values[i]), labels...)
	}
}
