// Command logrus logs by github.com/sirupsen/logrus, and so does gracex in it.
//
//	go run ./examples/logging/logrus -addr 127.0.0.1:8080 -pidfile logrus.pid &
//	kill -USR2 "$(cat logrus.pid)"
package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/sirupsen/logrus"
	logrusslog "github.com/sirupsen/logrus/hooks/slog"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/examples/internal/app"
)

func main() {
	flags := app.Parse(":8080")
	logger := logrus.New()
	logger.SetFormatter(&logrus.JSONFormatter{})

	handler := logrusslog.NewHandler(logger, nil)
	opts := append(flags.Options(), core.WithLogger(slog.New(handler)))

	echo := func(w http.ResponseWriter, r *http.Request) {
		status, body := app.Echo(w.Header(), r)
		logger.WithFields(logrus.Fields{"body": body, "status": status}).Info("request")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	if err := core.ListenAndServe(flags.Addr, http.HandlerFunc(echo), opts...); err != nil && !errors.Is(err, core.ErrCut) {
		logger.WithError(err).Error("serve")
		os.Exit(1)
	}
}
