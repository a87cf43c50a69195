// Command macaron is a Macaron server that upgrades itself: replace its binary, send it
// SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/macaron
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
package main

import (
	"errors"
	"fmt"
	"os"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
	"github.com/gracex-go/gracex/macaronx"
)

func main() {
	flags := app.Parse(":8080")
	m := macaron.New()
	m.Use(macaronx.Readiness())
	m.Use(macaron.Recovery())
	m.Get("/", echo)
	m.Post("/", echo)
	// Not log.Fatal(macaronx.RunAddr(...)): nil comes back after a clean stop, and log.Fatal(nil) exits with 1.
	// ErrCut is a stop, too: it has cut what was left at its deadline, and the log has that.
	if err := macaronx.RunAddr(m, flags.Addr, flags.Options()...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "macaron:", err)
		os.Exit(1)
	}
}

func echo(ctx *macaron.Context) (status int, body string) {
	return app.Echo(ctx.Resp.Header(), ctx.Req.Request)
}
