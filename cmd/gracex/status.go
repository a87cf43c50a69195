package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

// watchEvery is how often a watched status is asked for.
const watchEvery = time.Second

func newStatus(t *target) *cobra.Command {
	var watch, asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the app's processes",
		Long: `Show the app's processes, newest first. These are the current one, and older ones that
still finish their work. Below stands what has become of the last upgrade, and what the servers
of the service have done since its first start.`,
		Example: `  gracex status
  gracex status --watch
  gracex status --pid-file /run/shop.pid --json | jq '.generations[0].version'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			client, status, err := t.find(ctx)
			if err != nil {
				return err
			}
			s := newScreen(c.OutOrStdout())
			if !watch {
				return showStatus(ctx, s, client, status, false, asJSON)
			}
			return watchStatus(ctx, s, client, status, asJSON)
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again each second, until Ctrl-C")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, a line each time (docs/schema/status.json)")
	return c
}

// showStatus shows a status, on a new page if it is one of many.
func showStatus(ctx context.Context, s *screen, client *control.Client, status control.Status, page, asJSON bool) error {
	if asJSON {
		return control.WriteJSON(s, status)
	}
	totals, err := askTotals(ctx, client)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if page {
		s.clear()
	}
	now := time.Now()
	_, err = fmt.Fprint(s, control.StatusText(status, now, s.columns()), control.ServersText(totals, err, now))
	return err
}

// askTotals asks for the totals of the service, in the time that an answer can take.
func askTotals(ctx context.Context, client *control.Client) (control.Totals, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, control.ErrHangs)
	defer cancel()
	totals, err := client.Totals(ctx, 0)
	return totals, hanging(ctx, err)
}

// watchStatus shows the status again and again. An app that is gone ends it.
func watchStatus(ctx context.Context, s *screen, client *control.Client, status control.Status, asJSON bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := showStatus(ctx, s, client, status, true, asJSON); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		one, cancel := context.WithTimeoutCause(ctx, answerTime, control.ErrHangs)
		next, err := client.Status(one)
		err = hanging(one, err)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		status = next
	}
}
