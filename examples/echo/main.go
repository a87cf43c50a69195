// Command echo is an Echo server that upgrades itself: replace its binary, send it
// SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/echo
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/echox"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":8080")
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Use(echox.Readiness(), middleware.Recover())
	e.GET("/", reply)
	e.POST("/", reply)
	// Not log.Fatal(echox.Start(...)): nil comes back after a clean stop, and log.Fatal(nil) exits with 1.
	// ErrCut is a stop, too: it has cut what was left at its deadline, and the log has that.
	if err := echox.Start(e, flags.Addr, flags.Options()...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func reply(c echo.Context) error {
	status, body := app.Echo(c.Response().Header(), c.Request())
	return c.String(status, body)
}
