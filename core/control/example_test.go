package control_test

import (
	"context"
	"fmt"
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

// A deploy program upgrades the app and shows each step.
func ExampleClient_Upgrade() {
	ctx := context.Background()
	c, err := control.Find(ctx, control.Query{PIDFile: "/run/shop.pid"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(control.ExitStatus(err))
	}
	outcome, err := c.Upgrade(ctx, control.UpgradeOptions{
		Events: func(e control.Event) { fmt.Println(e.Step, e.Text) },
	})
	report := control.NewReport(outcome, err)
	fmt.Println(report.Outcome)
	os.Exit(report.ExitStatus)
}

// A program offers the commands for its running app under a name of its own: shop ctl upgrade --drain.
func ExampleCommand() {
	if len(os.Args) > 1 && os.Args[1] == "ctl" {
		app := control.Query{PIDFile: "/run/shop.pid"}
		os.Exit(control.Command(context.Background(), os.Args[2:], app, os.Stdout, os.Stderr))
	}
}

// An app is stopped, and all its processes are gone afterwards.
func ExampleClient_StopAndWait() {
	ctx := context.Background()
	c, err := control.Find(ctx, control.Query{Socket: "/run/shop/control.sock"})
	if err == nil {
		err = c.StopAndWait(ctx)
	}
	fmt.Println(err)
}
