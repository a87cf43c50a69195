// Command otel is a server whose upgrades are traces, and whose counts are metrics, of OpenTelemetry. It sends them to a
// collector by OTLP, which listens on localhost:4317 unless OTEL_EXPORTER_OTLP_ENDPOINT says otherwise.
//
//	GOWORK=off go -C examples/otel build -o /tmp/server .
//	OTEL_SERVICE_NAME=shop /tmp/server -addr 127.0.0.1:8080 -pidfile /tmp/server.pid &
//	kill -USR2 "$(cat /tmp/server.pid)"
//
// docs/tracing.md describes what it sends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/otelx"
)

func main() {
	addr := flag.String("addr", ":8080", "`address` to listen on")
	pidfile := flag.String("pidfile", "", "`file` that holds the process number of the current generation")
	flag.Parse()

	shutdown, err := telemetry(context.Background())
	if err != nil {
		exit(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello from", os.Getpid()) })
	err = core.ListenAndServe(*addr, mux,
		core.WithPIDFile(*pidfile),
		core.WithLogger(slog.Default()),
		otelx.Trace(),
		otelx.Metrics(),
		core.OnEnd(shutdown), // sends what this process has not sent yet
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		exit(err)
	}
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, "otel:", err)
	os.Exit(1)
}
