package main

import (
	"bytes"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newLedger(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "ledger",
		Short: "Show the counts of the current process as JSON",
		Long: `Show how many connections and requests the current process has accepted, served, taken over,
handed over and cut. The output is core.Ledger as JSON.`,
		Example: `  gracex ledger | jq .served`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			client, _, err := t.find(ctx)
			if err != nil {
				return err
			}
			raw, err := client.Ledger(ctx)
			if err != nil {
				return err
			}
			var line, b bytes.Buffer
			if err := control.WriteJSON(&line, raw); err != nil {
				return err
			}
			if err := json.Indent(&b, line.Bytes(), "", "  "); err != nil {
				return err
			}
			_, err = b.WriteTo(c.OutOrStdout())
			return err
		},
	}
}
