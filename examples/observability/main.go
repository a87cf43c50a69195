// Command observability is a server that upgrades itself and tells Prometheus of it: what it has counted goes on through
// each upgrade.
//
//	go build -o server ./examples/observability
//	./server -addr 127.0.0.1:8080 -metrics 127.0.0.1:9102 -pidfile server.pid &
//	curl 127.0.0.1:9102/metrics
//	kill -USR2 "$(cat server.pid)"
//	curl 127.0.0.1:9102/metrics
//
// Beside it are a configuration of Prometheus with alert rules, and a dashboard for Grafana.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
	"github.com/gracex-go/gracex/promx"
)

func main() {
	metrics := flag.String("metrics", ":9102", "`address` on which Prometheus is answered")
	flags := app.Parse(":8080")
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		status, body := app.Echo(w.Header(), r)
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	opts := append(flags.Options(),
		core.WithServerName("public"),
		core.AlsoServe(*metrics, promx.Handler(), core.Named("metrics")),
	)
	if err := core.ListenAndServe(flags.Addr, core.Readiness()(mux), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "observability:", err)
		os.Exit(1)
	}
}
