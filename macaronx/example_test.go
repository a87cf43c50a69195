package macaronx_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
	"github.com/gracex-go/gracex/macaronx"
)

func ExampleRun() {
	m := macaron.New()
	m.Use(macaronx.Readiness())
	m.Use(macaron.Recovery())
	m.Get("/ping", func() string { return "pong" })

	// It was: m.Run("127.0.0.1", 8080), which ends the process by itself. Not log.Fatal(macaronx.Run(...)):
	// nil comes back after a clean stop, and log.Fatal(nil) exits with status 1.
	if err := macaronx.Run(m, "127.0.0.1", 8080); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRun_environment() {
	// On $HOST:$PORT, 0.0.0.0:4000 if they are not set.
	err := macaronx.Run(macaron.Classic(), core.WithPIDFile("/run/app.pid"))
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunAddr() {
	err := macaronx.RunAddr(macaron.Classic(), ":8080",
		core.WithPreStopDelay(10*time.Second),
		core.WithDrainTimeout(time.Minute),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunTLS() {
	err := macaronx.RunTLS(macaron.Classic(), ":8443", "server.crt", "server.key")
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunUnix() {
	err := macaronx.RunUnix(macaron.Classic(), "/run/app/http.sock")
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunListener() {
	ln, err := core.Listen(context.Background(), "tcp", ":8080") // not net.Listen
	if err != nil {
		log.Fatal(err)
	}
	if err := macaronx.RunListener(macaron.Classic(), ln); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleSelfMacaron() {
	m := &macaronx.SelfMacaron{
		Macaron:    macaron.Classic(),
		RunOptions: []core.Option{core.WithPIDFile("/run/app.pid")},
	}
	m.Get("/ping", func() string { return "pong" })
	if err := m.Run("127.0.0.1", 8080); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleReadiness() {
	database := func(context.Context) error { return errors.New("connection refused") } // db.PingContext
	m := macaron.New()
	m.Use(macaronx.Readiness(macaronx.ReadinessConfig{ // before what asks for a password
		Checks: []health.Check{{Name: "database", Run: database, Timeout: 500 * time.Millisecond}},
	}))
	m.Use(func(c *macaron.Context) { c.Resp.WriteHeader(http.StatusUnauthorized) })
	m.Get("/", func() {})

	for _, path := range []string{"/livez", "/readyz", "/"} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Nothing serves here, so it is alive and not ready.

	// Output:
	// /livez 200
	// /readyz 503
	// / 401
}
