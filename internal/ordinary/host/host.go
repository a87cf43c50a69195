// Package host runs the programs of this module in two ways: on gracex, and on net/http alone. Everything else in a
// program is the same.
package host

import (
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/gracex-go/gracex/core"
)

// What the test tells a program by its environment.
const (
	EnvAddr    = "ORDINARY_ADDR"    // where it listens
	EnvBackend = "ORDINARY_BACKEND" // the server that a proxy is for, host and port
	EnvControl = "ORDINARY_CONTROL" // its control socket; empty for a program on net/http alone
)

// Addr is where the program listens.
func Addr() string { return os.Getenv(EnvAddr) }

// OnGracex reports whether the program is on gracex.
func OnGracex() bool { return os.Getenv(EnvControl) != "" }

// Serve is what is one line in a program of a user: core.Serve, or srv.ListenAndServe or srv.ListenAndServeTLS. It ends the program.
func Serve(srv *http.Server, opts ...core.Option) {
	srv.Addr = Addr()
	if OnGracex() {
		End(core.Serve(srv, append(Options(), opts...)...))
	}
	if srv.TLSConfig != nil {
		End(srv.ListenAndServeTLS("", ""))
	}
	End(srv.ListenAndServe())
}

// Options are those of each program.
func Options() []core.Option {
	return []core.Option{
		core.WithProbation(300 * time.Millisecond), // long enough for a share of the connections to move during it
		core.WithControlSocket(os.Getenv(EnvControl)),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	}
}

// End ends the program as its err says.
func End(err error) {
	if err != nil {
		slog.Error("serve", "error", err)
		os.Exit(1)
	}
	os.Exit(0)
}
