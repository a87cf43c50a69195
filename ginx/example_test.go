package ginx_test

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

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
	"github.com/gracex-go/gracex/ginx"
)

func ExampleRun() {
	r := gin.Default()
	r.GET("/ping", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"message": "pong"}) })

	// It was: log.Fatal(r.Run(":8080")), which exits with status 1 when nil comes back.
	if err := ginx.Run(r, ":8080"); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRun_options() {
	r := gin.Default()
	err := ginx.Run(r, ":8080",
		core.WithPIDFile("/run/app.pid"),
		core.WithDrainTimeout(time.Minute),
		core.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, nil))),
		core.OnDrainTimeout(func(left core.Remaining) { log.Print("not finished: ", left) }),
	)
	if err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunTLS() {
	r := gin.Default()
	if err := ginx.RunTLS(r, ":8443", "server.crt", "server.key"); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunUnix() {
	r := gin.Default()
	if err := ginx.RunUnix(r, "/run/app/http.sock"); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunFd() {
	// A socket that systemd made (ListenStream= in the socket unit) is descriptor 3.
	r := gin.Default()
	if err := ginx.RunFd(r, 3); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleRunListener() {
	ln, err := core.Listen(context.Background(), "tcp", ":8080") // not net.Listen
	if err != nil {
		log.Fatal(err)
	}
	r := gin.Default()
	if err := ginx.RunListener(r, ln); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func ExampleReadiness() {
	database := func(context.Context) error { return errors.New("connection refused") } // db.PingContext
	r := gin.New()
	r.Use(ginx.Readiness(ginx.ReadinessConfig{ // before what asks for a password
		ReadyPath: "/up",
		Checks:    []health.Check{{Name: "database", Run: database, Timeout: 500 * time.Millisecond}},
	}))
	r.Use(gin.BasicAuth(gin.Accounts{"admin": "secret"}))
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "hello") })

	for _, path := range []string{"/livez", "/up", "/"} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		fmt.Println(path, w.Code)
	}
	// Nothing serves here, so it is alive and not ready.

	// Output:
	// /livez 200
	// /up 503
	// / 401
}
