// Package app holds what the example programs have in common and a server of your own does not need: the
// flags by which a test starts them, and an answer that shows which process has given it.
package app

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core"
)

// Flags are the command line of an example.
type Flags struct {
	Addr, PIDFile, Control    string
	VersionFile               string
	Drain, Probation, PreStop time.Duration
}

// Parse reads the command line of a program that listens on addr unless it is told otherwise.
func Parse(addr string) *Flags {
	f := &Flags{Addr: addr, Drain: core.DefaultDrainTimeout, Probation: core.DefaultProbation}
	f.Parse()
	return f
}

// Parse reads the command line. The fields hold the defaults.
func (f *Flags) Parse() {
	flag.StringVar(&f.Addr, "addr", f.Addr, "`address` to listen on")
	flag.StringVar(&f.PIDFile, "pidfile", f.PIDFile, "`file` that holds the process number of the current generation")
	flag.DurationVar(&f.Drain, "drain", f.Drain, "how long an old generation may take to finish what it has begun")
	flag.DurationVar(&f.Probation, "probation", f.Probation, "how long the old process can take the service back from a new one; 0 is not at all")
	flag.DurationVar(&f.PreStop, "prestop", f.PreStop, "how long to go on accepting after a stop signal, with /readyz at 503 already")
	flag.StringVar(&f.Control, "control", f.Control, "`path` of the control socket; without it there is one if there is a pid file")
	flag.StringVar(&f.VersionFile, "versionfile", f.VersionFile, "`file` that holds the version to report; without it the build information has one")
	flag.Parse()
}

// Options returns what the flags ask for, and a logger that writes to standard error.
func (f *Flags) Options() []core.Option {
	opts := []core.Option{
		core.WithPIDFile(f.PIDFile),
		core.WithDrainTimeout(f.Drain),
		core.WithProbation(f.Probation),
		core.WithPreStopDelay(f.PreStop),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	}
	if version, err := os.ReadFile(f.VersionFile); err == nil {
		opts = append(opts, core.WithVersion(strings.TrimSpace(string(version))))
	}
	if f.Control != "" {
		opts = append(opts, core.WithControlSocket(f.Control))
	}
	return opts
}

// Echo answers r with its own body, after the time that ?d= asks for. It sets the headers
// X-Pid and X-Generation, which name the process, and the Content-Type.
func Echo(header http.Header, r *http.Request) (status int, body string) {
	header.Set("X-Pid", strconv.Itoa(os.Getpid()))
	header.Set("X-Generation", strconv.Itoa(core.Generation()))
	header.Set("Content-Type", "text/plain; charset=utf-8")
	// All of it before the answer begins: net/http throws away the rest then.
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return http.StatusBadRequest, err.Error() + "\n"
	}
	if err := Wait(r.Context(), r.URL.Query().Get("d")); r.Context().Err() != nil {
		return http.StatusServiceUnavailable, "" // the client is gone, or the drain timeout has come
	} else if err != nil {
		return http.StatusBadRequest, "d: " + err.Error() + "\n"
	}
	return http.StatusOK, string(b)
}

// Wait waits for the duration d, as in "2s", or until ctx ends. An empty one is none.
func Wait(ctx context.Context, d string) error {
	if d == "" {
		return nil
	}
	wait, err := time.ParseDuration(d)
	if err != nil {
		return fmt.Errorf("%w; 2s and 150ms are durations", err)
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
