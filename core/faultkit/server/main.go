// Command server is what the fault kit tries when it is given no program: a server
// that echoes, with times short enough for a test.
package main

import (
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/gracex-go/gracex/core"
)

// The times are shorter than the kit's faults last, so that each limit of the
// handover is met, and long enough for a machine that is busy with other tests.
const (
	readyTimeout = 3 * time.Second
	drainTimeout = 10 * time.Second
	probation    = 1500 * time.Millisecond
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	pidFile := flag.String("pidfile", "", "the pid file; empty for none")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := core.ListenAndServe(*addr, http.HandlerFunc(echo),
		core.WithLogger(log), core.WithPIDFile(*pidFile),
		core.WithReadyTimeout(readyTimeout), core.WithDrainTimeout(drainTimeout), core.WithProbation(probation))
	if err != nil {
		log.Error("the server has failed", "error", err)
		os.Exit(1)
	}
}

// echo does what package internal/load asks of a handler.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client has gone
	}
	h := w.Header()
	h.Set("X-Pid", strconv.Itoa(os.Getpid()))
	h.Set("X-Generation", strconv.Itoa(core.Generation()))
	if tag := r.Header.Get("X-Tag"); tag != "" {
		h.Set("X-Tag", tag)
	}
	_, _ = w.Write(body)
}
