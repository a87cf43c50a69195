// Command gin is a Gin server that upgrades itself: replace its binary, send it
// SIGUSR2 or SIGHUP, and the new one serves without a client noticing.
//
//	go build -o server ./examples/gin
//	./server -addr 127.0.0.1:8080 -pidfile server.pid &
//	curl -i -d hello 'http://127.0.0.1:8080/?d=2s' &
//	kill -USR2 "$(cat server.pid)"
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/gin-gonic/gin"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
	"github.com/gracex-go/gracex/ginx"
)

func main() {
	flags := app.Parse(":8080")
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(ginx.Readiness(), gin.Recovery())
	r.GET("/", echo)
	r.POST("/", echo)
	// Not log.Fatal(ginx.Run(...)): nil comes back after a clean stop, and log.Fatal(nil) exits with 1.
	// ErrCut is a stop, too: it has cut what was left at its deadline, and the log has that.
	if err := ginx.Run(r, flags.Addr, flags.Options()...); err != nil && !errors.Is(err, core.ErrCut) {
		fmt.Fprintln(os.Stderr, "gin:", err)
		os.Exit(1)
	}
}

func echo(c *gin.Context) {
	status, body := app.Echo(c.Writer.Header(), c.Request)
	c.String(status, "%s", body)
}
