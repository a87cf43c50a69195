package main

import (
	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newRollback(t *target) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "rollback",
		Short: "Roll back the upgrade that is on probation",
		Long: `Roll back the upgrade that is on probation. The old process accepts again in the same
moment. After the probation no old process can accept again. Then deploy the old version
and upgrade to it.`,
		Example: `  gracex rollback --reason "error rate 4 %"`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			client, status, err := t.find(ctx)
			if err != nil {
				return err
			}
			if err := client.Rollback(ctx, reason); err != nil {
				return err
			}
			return newScreen(c.OutOrStdout()).line("%s was asked to leave the service to the process before it",
				control.Process(status.PID, status.Version))
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "`words` for the log")
	return c
}
