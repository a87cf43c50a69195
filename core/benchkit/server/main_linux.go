// Command server is what the bench kit measures: a server whose handlers do next to nothing, on gracex or, with -bare,
// on net/http alone.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
)

// anyPort is where each listener is.
const anyPort = "127.0.0.1:0"

func main() {
	bare := flag.Bool("bare", false, "serve by net/http alone")
	h2c := flag.Bool("h2c", false, "speak HTTP/2 in the clear, too")
	listeners := flag.Int("listeners", 1, "how many listeners to have, with gracex")
	lossy := flag.Bool("break", false, "lose connections in an upgrade, to see the kit notice")
	flag.Parse()
	go endWithInput()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	srv := &http.Server{Handler: handler()}
	if *h2c {
		srv.Protocols = new(http.Protocols)
		srv.Protocols.SetHTTP1(true)
		srv.Protocols.SetUnencryptedHTTP2(true)
	}
	serve := func() error { return upgradable(srv, *listeners, log, *lossy) }
	if *bare {
		serve = func() error { return alone(srv, log) }
	}
	if err := serve(); err != nil {
		log.Error("the server has failed", "error", err)
		os.Exit(1)
	}
}

// endWithInput ends this process with the kit, which has the other end of its standard input.
func endWithInput() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(3)
}

// handler answers five bytes: at once, or when the body of the request is there, so that the client says how long a
// request takes.
func handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hello") }
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			answer(w)
		}
	})
	return mux
}

// upgradable serves by gracex. It has no probation, in which connections would stay for a while.
func upgradable(srv *http.Server, listeners int, log *slog.Logger, lossy bool) error {
	opts := []core.Option{core.WithLogger(log), core.WithProbation(0), core.WithoutControlSocket()}
	if lossy {
		opts = append(opts, core.WithConnectionHandoff(false), core.WithDrainTimeout(time.Millisecond))
	}
	return core.Run(func(u *core.Upgrader) error {
		for range listeners {
			ln, err := u.Listen(context.Background(), "tcp", anyPort)
			if err != nil {
				return err
			}
			if err := u.Attach(srv, ln); err != nil {
				return err
			}
		}
		return nil
	}, opts...)
}

// alone serves by net/http, and logs what the kit looks for in core's words.
func alone(srv *http.Server, log *slog.Logger) error {
	ln, err := net.Listen("tcp", anyPort)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		_ = srv.Close()
	}()
	log.Info("current", "generation", 0, "own_pid", os.Getpid(), "addresses", []string{ln.Addr().String()})
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
