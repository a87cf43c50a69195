package echox_test

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

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
	echox "github.com/gracex-go/gracex/echox/v5"
)

func ExampleStart() {
	e := echo.New()
	e.Use(echox.Readiness(), middleware.Recover())
	e.GET("/ping", func(c *echo.Context) error { return c.String(http.StatusOK, "pong") })

	// Not log.Fatal(echox.Start(...)): nil comes back after a clean stop and after a
	// handover, and log.Fatal(nil) exits with status 1.
	if err := echox.Start(e, ":8080"); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleStart_options() {
	err := echox.Start(echo.New(), ":8080",
		core.WithPIDFile("/run/app.pid"),
		core.WithPreStopDelay(10*time.Second),
		core.WithDrainTimeout(time.Minute),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleStartTLS() {
	err := echox.StartTLS(echo.New(), ":8443", "server.crt", "server.key")
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleStartWithConfig() {
	sc := echo.StartConfig{
		Address:    ":8080",
		HideBanner: true,
		BeforeServeFunc: func(s *http.Server) error {
			s.WriteTimeout = time.Minute
			return nil
		},
	}
	err := echox.StartWithConfig(context.Background(), echo.New(), sc)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleStartTLSWithConfig() {
	sc := echo.StartConfig{Address: ":8443", CertFilesystem: os.DirFS("/etc/app")}
	err := echox.StartTLSWithConfig(context.Background(), echo.New(), sc, "server.crt", "server.key")
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleReadiness() {
	database := func(context.Context) error { return errors.New("connection refused") } // db.PingContext
	e := echo.New()
	e.Use(echox.Readiness(echox.ReadinessConfig{ // before what asks for a password
		Skipper: func(c *echo.Context) bool { return c.Request().Host == "www.example.com" },
		Checks:  []health.Check{{Name: "database", Run: database, Timeout: 500 * time.Millisecond}},
	}))
	e.Use(middleware.BasicAuth(func(*echo.Context, string, string) (bool, error) { return false, nil }))
	e.GET("/", func(c *echo.Context) error { return c.NoContent(http.StatusOK) })

	for _, path := range []string{"/livez", "/readyz", "/"} {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Nothing serves here, so it is alive and not ready.

	// Output:
	// /livez 200
	// /readyz 503
	// / 401
}
