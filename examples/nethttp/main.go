// Command nethttp is a net/http server that upgrades itself: replace its binary, send it
// SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/nethttp
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
//
// examples/systemd, examples/supervisord and examples/container deploy it.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":8080")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", echo)
	mux.HandleFunc("POST /{$}", echo)
	// Not log.Fatal(core.ListenAndServe(...)): nil comes back after a clean stop, and log.Fatal(nil) exits with 1.
	// ErrCut is a stop, too: it has cut what was left at its deadline, and the log has that.
	if err := core.ListenAndServe(flags.Addr, core.Readiness()(mux), flags.Options()...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "nethttp:", err)
		os.Exit(1)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	status, body := app.Echo(w.Header(), r)
	w.WriteHeader(status)
	io.WriteString(w, body)
}
