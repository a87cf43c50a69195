package main

import (
	"bytes"
	"encoding/json"

	"github.com/spf13/cobra"
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
			var b bytes.Buffer
			if err := json.Indent(&b, raw, "", "  "); err != nil {
				return err
			}
			b.WriteByte('\n')
			_, err = b.WriteTo(c.OutOrStdout())
			return err
		},
	}
}
