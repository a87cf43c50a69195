// Package figures names what core.Totals counts, for OpenTelemetry: once for the instruments of package otelx, and once for
// the producer of package totals.
package figures

import (
	"maps"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/gracex-go/gracex/core/control"
)

// Scope names the instrumentation to OpenTelemetry.
const Scope = "github.com/gracex-go/gracex/otelx"

// The attributes for which the semantic conventions have none. error.type is the class of the reason of an upgrade.
const (
	Outcome    = attribute.Key("gracex.upgrade.outcome")
	Server     = attribute.Key("gracex.server.name")
	Protocol   = attribute.Key("gracex.connection.protocol") // not network.protocol.name: for what TLS is the reason of it is "tls"
	TLS        = attribute.Key("gracex.connection.tls")
	StayReason = attribute.Key("gracex.connection.stay_reason")
	CloseCause = attribute.Key("gracex.connection.close_cause")
	State      = attribute.Key("gracex.state")
)

// Name is what OpenTelemetry is told of an instrument.
type Name struct{ Name, Unit, Description string }

// The durations, which are histograms.
var (
	UpgradeDuration = Name{"gracex.upgrade.duration", "s", "How long upgrades took, from the request to the outcome, without those that were refused."}
	DrainDuration   = Name{"gracex.drain.duration", "s", "How long drains took."}
)

// Point is a number with its attributes.
type Point struct {
	Value int64
	Attrs attribute.Set
}

// one is a number without attributes.
func one(n uint64) []Point { return []Point{{Value: int64(n)}} }

// each returns a point for each entry of a list.
func each[T any](list []T, point func(T) (uint64, []attribute.KeyValue)) []Point {
	points := make([]Point, len(list))
	for i, entry := range list {
		n, attrs := point(entry)
		points[i] = Point{int64(n), attribute.NewSet(attrs...)}
	}
	return points
}

// Counter is a number of a process, or of all of them, that only grows.
type Counter struct {
	Name
	Of func(control.Counts) []Point
}

// Counters are all counters.
var Counters = []Counter{
	{Name{"gracex.upgrades", "{upgrade}", "Upgrades, by the process that has begun them."}, upgrades},
	{Name{"gracex.requests.served", "{request}", "Requests whose handler has returned."}, func(c control.Counts) []Point {
		return each(c.Servers, func(s control.ServerCounts) (uint64, []attribute.KeyValue) {
			return s.Requests, []attribute.KeyValue{Server.String(s.Server)}
		})
	}},
	{Name{"gracex.connections.accepted", "{connection}", "Connections accepted, by the process that has accepted them."}, func(c control.Counts) []Point {
		return each(c.Servers, func(s control.ServerCounts) (uint64, []attribute.KeyValue) {
			return s.Accepted, []attribute.KeyValue{Server.String(s.Server)}
		})
	}},
	{Name{"gracex.connections.moved", "{connection}", "Connections that went to another process."}, func(c control.Counts) []Point {
		return each(c.Moved, func(m control.MovedCounts) (uint64, []attribute.KeyValue) {
			return m.Connections, []attribute.KeyValue{Protocol.String(m.Protocol), TLS.Bool(m.TLS)}
		})
	}},
	{Name{"gracex.connections.moved_state", "By", "State that went with connections to another process."}, func(c control.Counts) []Point { return one(c.StateBytes) }},
	{Name{"gracex.connections.stayed", "{connection}", "Connections that were to move and did not."}, func(c control.Counts) []Point {
		return each(c.Stayed, func(s control.StayedCounts) (uint64, []attribute.KeyValue) {
			return s.Connections, []attribute.KeyValue{Protocol.String(s.Protocol), StayReason.String(s.Reason)}
		})
	}},
	{Name{"gracex.connections.refused", "{connection}", "Connections that the next process did not take."}, func(c control.Counts) []Point { return one(c.Refused) }},
	{Name{"gracex.connections.closed", "{connection}", "Connections that a drain has closed and nobody has lost anything by."}, func(c control.Counts) []Point {
		return []Point{
			{int64(c.ClosedPolitely), attribute.NewSet(CloseCause.String("last_answer"))},
			{int64(c.ClosedIdle), attribute.NewSet(CloseCause.String("idle"))},
		}
	}},
	{Name{"gracex.requests.cut", "{request}", "Requests that were cut at the deadline of a drain."}, func(c control.Counts) []Point { return one(c.CutRequests) }},
	{Name{"gracex.connections.cut", "{connection}", "Connections that were cut at the deadline of a drain."}, func(c control.Counts) []Point { return one(c.CutConnections) }},
	{Name{"gracex.hijacked_connections.cut", "{connection}", "Connections of handlers, such as WebSockets, that were cut at the deadline of a drain."}, func(c control.Counts) []Point { return one(c.CutHijacked) }},
	{Name{"gracex.sockets.cut", "{socket}", "Datagram sockets that were cut at the deadline of a drain."}, func(c control.Counts) []Point { return one(c.CutSockets) }},
	{Name{"gracex.background.cut", "{function}", "Functions of core.WhileCurrent that were cut at the deadline of a drain."}, func(c control.Counts) []Point { return one(c.CutBackground) }},
}

func upgrades(c control.Counts) []Point {
	return each(c.Upgrades, func(u control.UpgradeCounts) (uint64, []attribute.KeyValue) {
		return u.Count, Upgrade(u.Outcome, u.Reason)
	})
}

// Upgrade are the attributes of an upgrade. The class of the reason is empty for a good one.
func Upgrade(outcome, class string) []attribute.KeyValue {
	attrs := []attribute.KeyValue{Outcome.String(outcome)}
	if class != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(class))
	}
	return attrs
}

// Level is a number that rises and falls.
type Level struct {
	Name
	Of func(control.Open) int64
}

// Levels are what a process has to do.
var Levels = []Level{
	{Name{"gracex.requests.open", "{request}", "Requests that are read or answered."}, func(o control.Open) int64 { return int64(o.Requests) }},
	{Name{"gracex.connections.open", "{connection}", "Open connections, without the hijacked ones."}, func(o control.Open) int64 { return int64(o.Connections) }},
	{Name{"gracex.hijacked_connections.open", "{connection}", "Connections that handlers took over (WebSocket)."}, func(o control.Open) int64 { return int64(o.Hijacked) }},
}

// Gauge is a fact about the service.
type Gauge struct {
	Name
	Of func(control.Totals) []Point
}

// Gauges are all facts about the service.
var Gauges = []Gauge{
	{Name{"gracex.generations", "{generation}", "Processes of the service, by their states."}, generations},
	{Name{"gracex.generation", "1", "The number of the current generation."}, func(t control.Totals) []Point {
		own, ok := own(t)
		if !ok {
			return nil
		}
		return one(uint64(own.Generation))
	}},
	{Name{"gracex.processes.missing", "{process}", "Processes that were killed, of which some counts are missing."}, func(t control.Totals) []Point { return one(t.MissingCount) }},
	{Name{"gracex.upgrade.last_success.time", "s", "When the last good upgrade was, in Unix time."}, func(t control.Totals) []Point { return when(t.LastSuccess) }},
	{Name{"gracex.upgrade.last_failure.time", "s", "When the last upgrade was that was not good, in Unix time."}, func(t control.Totals) []Point { return when(t.LastFailure) }},
}

func generations(t control.Totals) []Point {
	counts := map[string]int64{}
	for _, p := range t.Processes {
		counts[p.State]++
	}
	var points []Point
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		points = append(points, Point{counts[state], attribute.NewSet(State.String(state))})
	}
	return points
}

// when is a time in seconds; nothing if there was none.
func when(t time.Time) []Point {
	if t.IsZero() {
		return nil
	}
	return []Point{{Value: t.Unix()}}
}

// Bounds are the upper bounds of the buckets of both histograms, in seconds.
var Bounds = control.DurationBounds()

// Bucket is the index of the bucket for what took at most that many seconds.
func Bucket(seconds float64) int {
	i, _ := slices.BinarySearch(Bounds, seconds)
	return i
}
