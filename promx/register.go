package promx

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// Register registers a Collector of this process's service, as in
//
//	err := promx.Register(prometheus.DefaultRegisterer)
//
// The error is a prometheus.AlreadyRegisteredError if there is one.
func Register(r prometheus.Registerer) error { return r.Register(NewCollector()) }

// MustRegister is like Register, and panics instead of returning an error.
func MustRegister(r prometheus.Registerer) { r.MustRegister(NewCollector()) }

// Handler serves to Prometheus what prometheus.DefaultGatherer has, and the metrics of this process's service, whether
// they are registered there or not. It is for a port of its own:
//
//	core.AlsoServe(":9090", promx.Handler(), core.Named("metrics"))
//
// A program with a registry of its own registers there, and serves it by promhttp.HandlerFor.
func Handler() http.Handler {
	own := prometheus.NewRegistry()
	MustRegister(own)
	return promhttp.HandlerFor(beside{own}, promhttp.HandlerOpts{})
}

// beside gathers what prometheus.DefaultGatherer has, and its own metrics if they are not there.
type beside struct{ own *prometheus.Registry }

func (b beside) Gather() ([]*dto.MetricFamily, error) {
	all, err := prometheus.DefaultGatherer.Gather()
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return all, err })
	if slices.ContainsFunc(all, func(f *dto.MetricFamily) bool { return f.GetName() == nameBuildInfo }) {
		return gathered()
	}
	return prometheus.Gatherers{gathered, b.own}.Gather()
}
