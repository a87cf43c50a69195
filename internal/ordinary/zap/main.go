// Command zap logs by go.uber.org/zap, to its standard error, and http.Server's errors too.
package main

import (
	"net/http"

	"go.uber.org/zap"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	logger, err := zap.NewProduction()
	if err != nil {
		host.End(err)
	}
	zap.ReplaceGlobals(logger)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		zap.L().Info("request", zap.String("path", r.URL.Path))
		_, _ = w.Write([]byte("zap\n"))
	})
	host.Serve(&http.Server{Handler: mux, ErrorLog: zap.NewStdLog(logger)})
}
