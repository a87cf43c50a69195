// Command zap logs by go.uber.org/zap, and so does gracex in it.
//
//	go run ./examples/logging/zap -addr 127.0.0.1:8080 -pidfile zap.pid &
//	kill -USR2 "$(cat zap.pid)"
package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":8080")
	config := zap.NewProductionConfig()
	config.Sampling = nil // it would leave lines out that come often
	logger := zap.Must(config.Build())

	// An error of gracex names its cause, and a stack would be that of its own code.
	handler := zapslog.NewHandler(logger.Core(), zapslog.AddStacktraceAt(slog.LevelError+1))
	opts := append(flags.Options(), core.WithLogger(slog.New(handler)))

	echo := func(w http.ResponseWriter, r *http.Request) {
		status, body := app.Echo(w.Header(), r)
		logger.Info("request", zap.String("body", body), zap.Int("status", status))
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	if err := core.ListenAndServe(flags.Addr, http.HandlerFunc(echo), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		logger.Error("serve", zap.Error(err))
		os.Exit(1)
	}
}
