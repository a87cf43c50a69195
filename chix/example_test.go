package chix_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/gracex-go/gracex/chix"
	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
)

func ExampleListenAndServe() {
	r := chi.NewRouter()
	r.Use(chix.Readiness(), middleware.Recoverer)
	r.Get("/ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "pong") })

	// It was: log.Fatal(http.ListenAndServe(":8080", r)). nil comes back here after a
	// clean stop, and log.Fatal(nil) exits with status 1.
	if err := chix.ListenAndServe(":8080", r); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleListenAndServe_options() {
	err := chix.ListenAndServe(":8080", chi.NewRouter(),
		core.WithPIDFile("/run/app.pid"),
		core.WithPreStopDelay(10*time.Second),
		core.WithDrainTimeout(time.Minute),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleListenAndServeTLS() {
	err := chix.ListenAndServeTLS(":8443", "server.crt", "server.key", chi.NewRouter())
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleListenAndServeUnix() {
	err := chix.ListenAndServeUnix("/run/app/http.sock", chi.NewRouter())
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleServe() {
	srv := &http.Server{
		Addr:              ":8080",
		Handler:           chi.NewRouter(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
	}
	if err := chix.Serve(srv); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleServeTLS() {
	srv := &http.Server{
		Addr:      ":8443",
		Handler:   chi.NewRouter(),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13},
	}
	if err := chix.ServeTLS(srv, "server.crt", "server.key"); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleServeListener() {
	ln, err := core.Listen(context.Background(), "tcp", ":8080") // not net.Listen
	if err != nil {
		log.Fatal(err)
	}
	err = chix.ServeListener(&http.Server{Handler: chi.NewRouter()}, ln)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleReadiness() {
	database := func(context.Context) error { return errors.New("connection refused") } // db.PingContext
	r := chi.NewRouter()
	r.Use(chix.Readiness(chix.ReadinessConfig{ // before what asks for a password
		Checks: []health.Check{{Name: "database", Run: database, Timeout: 500 * time.Millisecond}},
	}))
	r.Use(middleware.BasicAuth("app", map[string]string{"admin": "secret"}))
	r.Get("/", func(http.ResponseWriter, *http.Request) {})

	for _, path := range []string{"/livez", "/readyz", "/"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Nothing serves here, so it is alive and not ready.

	// Output:
	// /livez 200
	// /readyz 503
	// / 401
}
