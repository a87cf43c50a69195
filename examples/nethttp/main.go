// Command nethttp is a net/http server that upgrades itself: replace its binary,
// send it SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/nethttp
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
//
// It echoes what it is sent, after the time that ?d= asks for, and says in the
// headers X-Pid and X-Generation which process answered.
//
// With -supervise it keeps one process number for life as pid 1 of a container, under
// supervisord and in the foreground of a terminal. examples/supervisord,
// examples/container and examples/systemd deploy it.
package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core"
)

func main() {
	addr := flag.String("addr", ":8080", "`address` to listen on")
	pidfile := flag.String("pidfile", "", "`file` that holds the process number of the current generation")
	drain := flag.Duration("drain", core.DefaultDrainTimeout, "how long an old generation may take to finish its requests")
	probation := flag.Duration("probation", core.DefaultProbation, "how long the old process can take the service back from a new one; 0 is not at all")
	prestop := flag.Duration("prestop", 0, "how long to go on accepting after a stop signal, with /readyz at 503 already")
	control := flag.String("control", "", "`path` of the control socket; without it there is one if there is a pid file")
	supervise := flag.Bool("supervise", false, "keep one process number for life where that matters (GRACEX_MODE overrides)")
	flag.Parse()

	opts := []core.Option{
		core.WithPIDFile(*pidfile),
		core.WithDrainTimeout(*drain),
		core.WithProbation(*probation),
		core.WithPreStopDelay(*prestop),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	}
	if *supervise {
		opts = append(opts, core.WithSupervision()) // main starts anew in there
	}
	if *control != "" {
		opts = append(opts, core.WithControlSocket(*control))
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", echo)
	mux.HandleFunc("POST /{$}", echo)

	err := core.ListenAndServe(*addr, core.Readiness()(mux), opts...)
	// Not log.Fatal(core.ListenAndServe(...)): nil comes back after a clean stop and
	// after a handover, and log.Fatal(nil) exits with status 1.
	if err != nil {
		fmt.Fprintln(os.Stderr, "nethttp:", err)
		os.Exit(1)
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	w.Header().Set("X-Generation", strconv.Itoa(core.Generation()))

	// All of it before the answer begins: net/http throws away the rest then.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if d := r.URL.Query().Get("d"); d != "" {
		wait, err := time.ParseDuration(d)
		if err != nil {
			http.Error(w, fmt.Sprintf("d: %v; 2s and 150ms are durations", err), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return // the client is gone, or the drain timeout has come
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(body)
}
