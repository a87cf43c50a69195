// Command lumberjack writes its log by gopkg.in/natefinch/lumberjack.v2, which begins a new file when one is full. During an
// upgrade two processes write to the same files.
//
//	go run ./examples/logging/lumberjack -log app.log -addr 127.0.0.1:8080 -pidfile lumberjack.pid &
//	kill -USR2 "$(cat lumberjack.pid)"
package main

import (
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"

	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	file := flag.String("log", "app.log", "`file` of the log")
	size := flag.Int("log-size", 100, "how large a file of the log becomes, in MiB")
	flags := app.Parse(":8080")
	out := &shared{to: &lumberjack.Logger{Filename: *file, MaxSize: *size}}
	logger := slog.New(slog.NewJSONHandler(out, nil))
	opts := append(flags.Options(), core.WithLogger(logger))

	echo := func(w http.ResponseWriter, r *http.Request) {
		status, body := app.Echo(w.Header(), r)
		logger.Info("request", "body", body, "status", status)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	if err := core.ListenAndServe(flags.Addr, http.HandlerFunc(echo), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		logger.Error("serve", "error", err)
		os.Exit(1)
	}
}
