package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newTotals(t *target) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "totals",
		Short: "Show the counts of the whole service, over all its processes",
		Long: `Show what all processes of the service have counted since its first start. These are requests
and connections by server, upgrades by their outcome, connections that have moved or stayed, and
what was cut. An upgrade does not reset the counts. What a killed process had counted since it
was heard of last is said to be missing.`,
		Example: `  gracex totals
  gracex totals --json | jq '[.total.servers[].requests] | add'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			client, _, err := t.find(ctx)
			if err != nil {
				return err
			}
			totals, err := askTotals(ctx, client)
			switch {
			case err != nil:
				return err
			case asJSON:
				return control.WriteJSON(c.OutOrStdout(), totals)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), control.TotalsText(totals, time.Now()))
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as one JSON object (docs/schema/totals.json)")
	return c
}
