//go:build unix

package main

import (
	"context"
	"encoding/hex"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	metricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/gracex-go/gracex/internal/must"
)

// receiver is a collector: OpenTelemetry's own server of OTLP, which keeps what it gets.
type receiver struct {
	tracepb.UnimplementedTraceServiceServer
	addr string

	mu      sync.Mutex
	spans   []span
	numbers []number
}

// span is one that was received.
type span struct {
	trace, id, parent  string
	name               string
	began, ended       time.Time
	failed             bool
	reason             string
	attrs              map[string]any
	process, of        int64 // the process by the span, and by the resource
	service, serviceID string
}

// number is one point of a metric.
type number struct {
	name      string
	attrs     map[string]any
	value     float64
	histogram *metrics.HistogramDataPoint
	monotonic bool
	start, at time.Time
	serviceID string
}

// listen starts a receiver that lives as long as the test.
func listen(t *testing.T) *receiver {
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	r := &receiver{addr: ln.Addr().String()}
	srv := grpc.NewServer()
	tracepb.RegisterTraceServiceServer(srv, r)
	metricpb.RegisterMetricsServiceServer(srv, counts{r: r})
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(srv.Stop)
	return r
}

// Export takes spans.
func (r *receiver) Export(_ context.Context, req *tracepb.ExportTraceServiceRequest) (*tracepb.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range req.GetResourceSpans() {
		of := values(rs.GetResource().GetAttributes())
		for _, ss := range rs.GetScopeSpans() {
			for _, s := range ss.GetSpans() {
				attrs := values(s.GetAttributes())
				pid, _ := attrs["process.pid"].(int64)
				own, _ := of["process.pid"].(int64)
				service, _ := of["service.name"].(string)
				id, _ := of["service.instance.id"].(string)
				r.spans = append(r.spans, span{
					trace: hex.EncodeToString(s.GetTraceId()), id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()),
					name: s.GetName(), began: time.Unix(0, int64(s.GetStartTimeUnixNano())), ended: time.Unix(0, int64(s.GetEndTimeUnixNano())),
					failed: s.GetStatus().GetCode() == trace.Status_STATUS_CODE_ERROR, reason: s.GetStatus().GetMessage(),
					attrs: attrs, process: pid, of: own, service: service, serviceID: id,
				})
			}
		}
	}
	return &tracepb.ExportTraceServiceResponse{}, nil
}

// counts takes the metrics of a receiver: its Export has the same name as the one for spans.
type counts struct {
	metricpb.UnimplementedMetricsServiceServer
	r *receiver
}

// Export takes metrics.
func (c counts) Export(_ context.Context, req *metricpb.ExportMetricsServiceRequest) (*metricpb.ExportMetricsServiceResponse, error) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	for _, rm := range req.GetResourceMetrics() {
		id, _ := values(rm.GetResource().GetAttributes())["service.instance.id"].(string)
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				for _, p := range slices.Concat(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()) {
					c.r.numbers = append(c.r.numbers, number{
						name: m.GetName(), attrs: values(p.GetAttributes()), value: float64(p.GetAsInt()) + p.GetAsDouble(), monotonic: m.GetSum().GetIsMonotonic(),
						start: time.Unix(0, int64(p.GetStartTimeUnixNano())), at: time.Unix(0, int64(p.GetTimeUnixNano())), serviceID: id,
					})
				}
				for _, p := range m.GetHistogram().GetDataPoints() {
					c.r.numbers = append(c.r.numbers, number{
						name: m.GetName(), attrs: values(p.GetAttributes()), value: p.GetSum(), histogram: p,
						start: time.Unix(0, int64(p.GetStartTimeUnixNano())), at: time.Unix(0, int64(p.GetTimeUnixNano())), serviceID: id,
					})
				}
			}
		}
	}
	return &metricpb.ExportMetricsServiceResponse{}, nil
}

// values are attributes by their keys.
func values(all []*commonpb.KeyValue) map[string]any {
	out := map[string]any{}
	for _, kv := range all {
		switch v := kv.GetValue().GetValue().(type) {
		case *commonpb.AnyValue_StringValue:
			out[kv.GetKey()] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			out[kv.GetKey()] = v.IntValue
		case *commonpb.AnyValue_BoolValue:
			out[kv.GetKey()] = v.BoolValue
		case *commonpb.AnyValue_DoubleValue:
			out[kv.GetKey()] = v.DoubleValue
		default:
			out[kv.GetKey()] = kv.GetValue().String()
		}
	}
	return out
}

// where returns the spans that match.
func (r *receiver) where(match func(span) bool) (found []span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if match(s) {
			found = append(found, s)
		}
	}
	return found
}
