// Command macaron is a Macaron server that upgrades itself: replace its binary, send it
// SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/macaron
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
//
// It echoes what it is sent, after the time that ?d= asks for, and says in the
// headers X-Pid and X-Generation which process answered.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/macaronx"
)

func main() {
	addr := flag.String("addr", ":8080", "`address` to listen on")
	pidfile := flag.String("pidfile", "", "`file` that holds the process number of the current generation")
	drain := flag.Duration("drain", core.DefaultDrainTimeout, "how long an old generation may take to finish its requests")
	probation := flag.Duration("probation", core.DefaultProbation, "how long the old process can take the service back from a new one; 0 is not at all")
	prestop := flag.Duration("prestop", 0, "how long to go on accepting after a stop signal, with /readyz at 503 already")
	flag.Parse()

	m := macaron.New()
	m.Use(macaronx.Readiness())
	m.Use(macaron.Recovery())
	m.Get("/", echo)
	m.Post("/", echo)

	err := macaronx.RunAddr(m, *addr,
		core.WithPIDFile(*pidfile),
		core.WithDrainTimeout(*drain),
		core.WithProbation(*probation),
		core.WithPreStopDelay(*prestop),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	// Not log.Fatal(macaronx.RunAddr(...)): nil comes back after a clean stop and after a
	// handover, and log.Fatal(nil) exits with status 1.
	if err != nil {
		fmt.Fprintln(os.Stderr, "macaron:", err)
		os.Exit(1)
	}
}

func echo(ctx *macaron.Context) (status int, answer string) {
	ctx.Resp.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	ctx.Resp.Header().Set("X-Generation", strconv.Itoa(core.Generation()))
	ctx.Resp.Header().Set("Content-Type", "text/plain; charset=utf-8")

	// All of it before the answer begins: net/http throws away the rest then. And
	// before ctx.Query, which reads a form from the body.
	body, err := ctx.Req.Body().String()
	if err != nil {
		return http.StatusBadRequest, err.Error() + "\n"
	}
	if d := ctx.Query("d"); d != "" {
		wait, err := time.ParseDuration(d)
		if err != nil {
			return http.StatusBadRequest, fmt.Sprintf("d: %v; 2s and 150ms are durations\n", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Req.Context().Done():
			return http.StatusServiceUnavailable, "" // the client is gone, or the drain timeout has come
		}
	}
	return http.StatusOK, body
}
