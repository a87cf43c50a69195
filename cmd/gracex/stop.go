package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

// lookEvery is how often a stop looks whether the processes are gone.
const lookEvery = 50 * time.Millisecond

func newStop(t *target) *cobra.Command {
	var noWait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "stop",
		Short: "Stop the app gracefully, and wait until it is gone",
		Long: `Stop the app gracefully. It accepts no more connections, answers the requests that it has
begun, and ends. The command returns when all processes of the app are gone, including
those of earlier upgrades and the supervisor.`,
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
			if err := client.Stop(ctx); err != nil {
				return err
			}
			s := newScreen(c.OutOrStdout())
			if noWait {
				return s.line("%s stops", process(status.PID, status.Version))
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return awaitGone(ctx, s, processes(status), timeout)
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "return when the stop has begun")
	c.Flags().DurationVar(&timeout, "timeout", upgradeTime, "how long to wait")
	return c
}

// processes are the numbers of all of an app's processes.
func processes(s control.Status) (pids []int) {
	for _, g := range s.Generations {
		pids = append(pids, g.PID)
	}
	if s.Supervisor > 0 {
		pids = append(pids, s.Supervisor)
	}
	return pids
}

// awaitGone returns when none of the processes is there any more.
func awaitGone(ctx context.Context, s *screen, pids []int, timeout time.Duration) error {
	began := time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var left []int
		for _, pid := range pids {
			if alive(pid) {
				left = append(left, pid)
			}
		}
		if len(left) == 0 {
			s.wipe()
			return s.line("stopped after %v", time.Since(began).Round(time.Millisecond))
		}
		s.moving(fmt.Sprintf("waiting for %v, %.0f s", left, time.Since(began).Seconds()))
		select {
		case <-tick.C:
			continue
		case <-ctx.Done():
		}
		s.wipe()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return &exitError{code: exitTimedOut, err: fmt.Errorf("processes %v are still there after %v; the stop goes on", left, timeout)}
		}
		return &exitError{code: exitInterrupted, err: fmt.Errorf("interrupted; processes %v are still there, and the stop goes on", left)}
	}
}
