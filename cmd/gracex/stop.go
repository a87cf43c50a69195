package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newStop(t *target) *cobra.Command {
	var noWait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop the app gracefully, and wait until it is gone",
		Long: `Stop the app gracefully. It accepts no more connections, answers the requests that it has
begun, and ends. The command returns when all processes of the app are gone, including
those of earlier upgrades and the supervisor. Of an app in another pid namespace, such as a
container's, it waits for the process that serves.`,
		Example: `  gracex stop --pid-file /run/shop.pid
  gracex stop --timeout 1m`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usagef("--timeout %v: give a positive duration, such as 90s", timeout)
			}
			ctx, stop := interruptible(c)
			defer stop()
			client, status, err := t.find(ctx)
			if err != nil {
				return err
			}
			s := newScreen(c.OutOrStdout())
			if noWait {
				if err := client.End(ctx); err != nil {
					return err
				}
				return s.line("%s stops", control.Process(status.PID, status.Version))
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return awaitEnd(ctx, s, client, status)
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "return when the stop has begun")
	c.Flags().DurationVar(&timeout, "timeout", control.DefaultTimeout, "how long to wait")
	return c
}

// awaitEnd stops the app, and returns when it is gone.
func awaitEnd(ctx context.Context, s *screen, client *control.Client, status control.Status) error {
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- client.StopAndWait(ctx) }()
	tick := time.NewTicker(barRedraw)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			s.wipe()
			if err != nil {
				return err
			}
			return s.line("stopped after %v", time.Since(began).Round(time.Millisecond))
		case <-tick.C:
			s.moving(fmt.Sprintf("waiting for processes %v, %.0f s", status.PIDs(), time.Since(began).Seconds()))
		}
	}
}
