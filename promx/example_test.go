package promx_test

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/promx"
)

func ExampleHandler() {
	err := core.ListenAndServe(":8080", http.DefaultServeMux,
		core.WithServerName("public"),
		core.AlsoServe(":9090", promx.Handler(), core.Named("metrics")),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleMustRegister() {
	promx.MustRegister(prometheus.DefaultRegisterer)
	http.Handle("/metrics", promhttp.Handler())

	err := core.ListenAndServe(":8080", http.DefaultServeMux)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

// A program with a registry of its own, whose other metrics are those of one process.
func ExampleRegister() {
	reg := prometheus.NewRegistry()
	if err := promx.Register(reg); err != nil {
		log.Fatal(err)
	}
	process := prometheus.WrapRegistererWith(prometheus.Labels{"pid": strconv.Itoa(os.Getpid())}, reg)
	process.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "shop_carts", Help: "Carts in memory."}))

	metrics := promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
	err := core.ListenAndServe(":8080", http.DefaultServeMux, core.AlsoServe(":9090", metrics, core.Named("metrics")))
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

// A program that tells of another one, by its control socket.
func ExampleWithSource() {
	app := control.Dial("/run/app/control.sock")
	prometheus.MustRegister(promx.NewCollector(promx.WithSource(func() (control.Totals, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return app.Totals(ctx, 0)
	})))
	log.Fatal(http.ListenAndServe(":9090", promhttp.Handler()))
}
