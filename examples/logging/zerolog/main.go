// Command zerolog logs by github.com/rs/zerolog, and so does gracex in it.
//
//	go run ./examples/logging/zerolog -addr 127.0.0.1:8080 -pidfile zerolog.pid &
//	kill -USR2 "$(cat zerolog.pid)"
package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/rs/zerolog"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":8080")
	logger := zerolog.New(os.Stderr).Level(zerolog.InfoLevel).With().Timestamp().Logger()

	handler := zerolog.NewSlogHandler(logger)
	opts := append(flags.Options(), core.WithLogger(slog.New(handler)))

	echo := func(w http.ResponseWriter, r *http.Request) {
		status, body := app.Echo(w.Header(), r)
		logger.Info().Str("body", body).Int("status", status).Msg("request")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	if err := core.ListenAndServe(flags.Addr, http.HandlerFunc(echo), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		logger.Error().Err(err).Msg("serve")
		os.Exit(1)
	}
}
