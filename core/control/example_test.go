package control_test

import (
	"context"
	"log/slog"
	"os"

	"github.com/gracex-go/gracex/core/control"
)

// A deploy script in Go, whose new version gets the variables of a file.
func ExampleReadEnvironmentFile() {
	env, err := control.ReadEnvironmentFile("/etc/shop.env")
	if err != nil {
		slog.Error("deploy", "error", err)
		os.Exit(1)
	}
	outcome, err := control.Dial("/run/shop/control.sock").Upgrade(context.Background(), control.UpgradeOptions{
		Start: control.StartOptions{SetEnv: env},
	})
	if err != nil || !outcome.OK {
		slog.Error("deploy", "error", err, "reason", outcome.Reason)
		os.Exit(1)
	}
}
