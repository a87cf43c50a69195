package gracehttp_test

import (
	"log/slog"
	"net/http"

	"github.com/gracex-go/gracex/core/compat/gracehttp"
)

func ExampleListenAndServe() {
	if err := gracehttp.ListenAndServe(":8080", http.DefaultServeMux); err != nil {
		slog.Error("serve", "error", err)
	}
}
