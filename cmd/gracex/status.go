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
still finish their work. Below stands what has become of the last upgrade.`,
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
				return showStatus(s, status, asJSON)
			}
			return watchStatus(ctx, s, client, status, asJSON)
		},
	}
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again each second, until Ctrl-C")
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, a line each time")
	return c
}

func showStatus(s *screen, status control.Status, asJSON bool) error {
	if asJSON {
		return control.WriteJSON(s, status)
	}
	_, err := fmt.Fprint(s, control.StatusText(status, time.Now(), s.columns()))
	return err
}

// watchStatus shows the status again and again. An app that is gone ends it.
func watchStatus(ctx context.Context, s *screen, client *control.Client, status control.Status, asJSON bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if !asJSON {
			s.clear()
		}
		if err := showStatus(s, status, asJSON); err != nil {
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
