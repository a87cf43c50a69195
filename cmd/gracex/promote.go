package main

import (
	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newPromote(t *target) *cobra.Command {
	return &cobra.Command{
		Use:   "promote",
		Short: "End the probation of the new version, as passed",
		Long: `End the probation of the new version, as if its time were over and it had passed. The old
process drains then, and does not serve again when the new one is found bad by its checks.`,
		Example: `  gracex upgrade --no-wait && ./smoke-test && gracex promote || gracex rollback`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			client, status, err := t.find(ctx)
			if err != nil {
				return err
			}
			if err := client.Promote(ctx); err != nil {
				return err
			}
			return newScreen(c.OutOrStdout()).line("%s goes on by itself: its probation is over",
				control.Process(status.PID, status.Version))
		},
	}
}
