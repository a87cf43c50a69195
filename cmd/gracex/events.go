package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newEvents(t *target) *cobra.Command {
	var since time.Duration
	var asJSON bool
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happens to the service, as it happens",
		Long: `Show each step of the upgrades, starts and stops of the service, of the old and of the new
process, with the time and the process that tells it. It goes on through upgrades, until Ctrl-C or
until the service has ended. --since begins with what the app remembers: its last 256 events.`,
		Example: `  gracex events
  gracex events --since 1h
  gracex events --json | jq -r 'select(.step == "concluded") | .outcome.kind'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("since") && since <= 0 {
				return usagef("--since %v: give a positive duration, such as 1h", since)
			}
			ctx, stop := interruptible(c)
			defer stop()
			client, _, err := t.find(ctx)
			if err != nil {
				return err
			}
			var from time.Time
			if since > 0 {
				from = time.Now().Add(-since)
			}
			s := newScreen(c.OutOrStdout())
			return followEvents(ctx, client, from, func(e control.Event) error {
				if asJSON {
					return control.WriteJSON(s, e)
				}
				return s.line("%s", eventText(e))
			})
		},
	}
	c.Flags().DurationVar(&since, "since", 0, "begin with the events of this `duration` that the app remembers (default: only new ones)")
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line (docs/schema/event.json)")
	return c
}

// followEvents shows events until ctx ends, the service has ended, or nobody reads them.
func followEvents(ctx context.Context, client *control.Client, since time.Time, show func(control.Event) error) error {
	watching, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	err := client.Events(watching, since, func(e control.Event) {
		if watching.Err() != nil {
			return
		}
		if err := show(e); err != nil {
			leave(err)
		}
	})
	switch {
	case ctx.Err() != nil: // Ctrl-C is how it is ended
		return &exitError{code: control.ExitInterrupted, err: errors.New("interrupted"), silent: true}
	case watching.Err() != nil:
		return context.Cause(watching)
	}
	return err
}

// eventText is an event in one line: when, which process tells it, and what has happened.
func eventText(e control.Event) string {
	line := e.Time.Local().Format("2006-01-02 15:04:05.000")
	if e.By != 0 {
		line += fmt.Sprintf("  gen %d  pid %d", e.Generation, e.By)
	}
	if e.Version != "" {
		line += "  " + control.Printable(e.Version)
	}
	if e.Outcome != nil {
		e.Text = e.Outcome.String()
	}
	if e.PID == e.By || e.Outcome != nil { // an outcome names the processes
		e.PID = 0
	}
	return line + "  " + e.String()
}
