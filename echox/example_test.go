package echox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"golang.org/x/crypto/acme/autocert"
	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
	"github.com/gracex-go/gracex/echox"
)

func ExampleStart() {
	e := echo.New()
	e.Use(echox.Readiness(), middleware.Recover())
	e.GET("/ping", func(c echo.Context) error { return c.String(http.StatusOK, "pong") })

	// It was: e.Logger.Fatal(e.Start(":8080")). nil comes back here after a clean
	// stop, and e.Logger.Fatal(nil) exits with status 1.
	if err := echox.Start(e, ":8080"); err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleStart_options() {
	e := echo.New()
	e.Server.ReadHeaderTimeout = 5 * time.Second
	err := echox.Start(e, ":8080",
		core.WithPIDFile("/run/app.pid"),
		core.WithPreStopDelay(10*time.Second),
		core.WithDrainTimeout(time.Minute),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleStart_listener() {
	ln, err := core.Listen(context.Background(), "unix", "/run/app/http.sock") // not net.Listen
	e := echo.New()
	if err != nil {
		e.Logger.Fatal(err)
	}
	e.Listener = ln
	if err := echox.Start(e, ""); err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleStartTLS() {
	e := echo.New()
	if err := echox.StartTLS(e, ":8443", "server.crt", "server.key"); err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleStartAutoTLS() {
	e := echo.New()
	e.AutoTLSManager.HostPolicy = autocert.HostWhitelist("example.com")
	e.AutoTLSManager.Cache = autocert.DirCache("/var/cache/app") // so that an upgrade asks for nothing
	if err := echox.StartAutoTLS(e, ":443"); err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleStartH2CServer() {
	e := echo.New()
	err := echox.StartH2CServer(e, ":8080", &http2.Server{MaxConcurrentStreams: 250})
	if err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleStartServer() {
	e := echo.New()
	srv := &http.Server{Addr: ":8080", IdleTimeout: 2 * time.Minute}
	if err := echox.StartServer(e, srv); err != nil && !errors.Is(err, core.ErrCut) {
		e.Logger.Fatal(err)
	}
}

func ExampleReadiness() {
	database := func(context.Context) error { return errors.New("connection refused") } // db.PingContext
	e := echo.New()
	e.Use(echox.Readiness(echox.ReadinessConfig{ // before what asks for a password
		Skipper: func(c echo.Context) bool { return c.Request().Host == "www.example.com" },
		Checks:  []health.Check{{Name: "database", Run: database, Timeout: 500 * time.Millisecond}},
	}))
	e.Use(middleware.BasicAuth(func(string, string, echo.Context) (bool, error) { return false, nil }))
	e.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) })

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
