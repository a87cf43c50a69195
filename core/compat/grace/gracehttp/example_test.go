package gracehttp_test

import (
	"log/slog"
	"net/http"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/compat/grace/gracehttp"
)

func ExampleServeWithOptions() {
	err := gracehttp.ServeWithOptions(
		[]*http.Server{{Addr: ":8080"}, {Addr: ":8081"}},
		gracehttp.PreStartProcess(func() error { return nil }),
		gracehttp.With(core.WithPIDFile("/run/app.pid")),
	)
	if err != nil {
		slog.Error("serve", "error", err)
	}
}
