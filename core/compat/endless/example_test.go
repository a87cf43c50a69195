package endless_test

import (
	"log/slog"
	"net/http"
	"syscall"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/endless"
)

func ExampleListenAndServe() {
	if err := endless.ListenAndServe("localhost:4242", http.DefaultServeMux); err != nil {
		slog.Error("serve", "error", err)
	}
}

func ExampleNewServer() {
	endless.Options = []core.Option{core.WithPIDFile("/run/app.pid")}
	srv := endless.NewServer("localhost:4242", http.DefaultServeMux)
	if err := srv.RegisterSignalHook(endless.PRE_SIGNAL, syscall.SIGHUP, func() { slog.Info("an upgrade is about to begin") }); err != nil {
		slog.Error("hook", "error", err)
	}
	if err := srv.ListenAndServe(); err != nil {
		slog.Error("serve", "error", err)
	}
}
