// Command after is the program before with macaronx.SelfMacaron in the place of its
// own type. It takes over from a running before on SIGHUP.
package main

import (
	"errors"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"gopkg.in/macaron.v1"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/macaronx"
)

var (
	host    = flag.String("host", "0.0.0.0", "`address` to listen on")
	port    = flag.Int("port", 4000, "`number` of the port to listen on")
	pidfile = flag.String("pidfile", "app.pid", "`file` for the process number")
)

func main() {
	flag.Parse()
	m := &macaronx.SelfMacaron{Macaron: macaron.New()}
	m.RunOptions = []core.Option{core.WithPIDFile(*pidfile), core.WithLogger(slog.Default())}
	m.Use(macaron.Recovery())
	m.Get("/", echo)
	m.Post("/", echo)
	// Not log.Fatal(m.Run(...)): nil comes back after a clean stop and after a
	// handover, and log.Fatal(nil) exits with status 1.
	if err := m.Run(*host, *port); err != nil && !errors.Is(err, core.ErrCut) {
		log.Fatal(err)
	}
}

func echo(ctx *macaron.Context) (status int, answer string) {
	ctx.Resp.Header().Set("X-Pid", strconv.Itoa(os.Getpid()))
	body, err := ctx.Req.Body().String()
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	return http.StatusOK, body
}
