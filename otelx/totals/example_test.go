package totals_test

import (
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/gracex-go/gracex/otelx/totals"
)

func ExampleNewProducer() {
	var exporter metric.Exporter // such as that of otlpmetricgrpc.New
	reader := metric.NewPeriodicReader(exporter, metric.WithProducer(totals.NewProducer()))
	_ = metric.NewMeterProvider(metric.WithReader(reader))
}
