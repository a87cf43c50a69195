// Command chi is a chi server that upgrades itself: replace its binary, send it
// SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/chi
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/gracex-go/gracex/chix"
	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":8080")
	r := chi.NewRouter()
	r.Use(chix.Readiness(), middleware.Recoverer)
	r.Get("/", echo)
	r.Post("/", echo)
	// Not log.Fatal(chix.ListenAndServe(...)): nil comes back after a clean stop, and log.Fatal(nil) exits with 1.
	// ErrCut is a stop, too: it has cut what was left at its deadline, and the log has that.
	if err := chix.ListenAndServe(flags.Addr, r, flags.Options()...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "chi:", err)
		os.Exit(1)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	status, body := app.Echo(w.Header(), r)
	w.WriteHeader(status)
	io.WriteString(w, body)
}
