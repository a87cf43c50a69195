package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

func newHistory(t *target) *cobra.Command {
	store, n, asJSON := &storeFlags{target: t}, 20, false
	c := &cobra.Command{
		Use:   "history",
		Short: "Show what was deployed, by whom, and what became of it",
		Long: `Show what was deployed, by whom, from where, and what became of it, the newest last. It waits
for no deploy, and needs no app that runs if --dir is given.`,
		Example: `  gracex history --pid-file /run/shop.pid
  gracex history --dir /srv/shop -n 0 --json | jq -r 'select(.bad).release'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			dir, _, _, err := store.locate(ctx, false)
			if err != nil {
				return err
			}
			all, err := release.ReadHistory(dir, n)
			if err != nil {
				return err
			}
			if asJSON {
				for _, e := range all {
					if err := control.WriteJSON(c.OutOrStdout(), e); err != nil {
						return err
					}
				}
				return nil
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "WHEN\tWHO\tWHAT\tRELEASE\tFROM\tOUTCOME\tTOOK")
			for _, e := range all {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.Local().Format(time.DateTime), cell(e.Who), cell(e.Action), cell(e.Release),
					cell(e.From), cell(outcomeText(e)), tookText(time.Duration(e.Took)*time.Millisecond))
			}
			return w.Flush()
		},
	}
	store.add(c)
	c.Flags().IntVarP(&n, "number", "n", n, "how many lines; 0 is all")
	c.Flags().BoolVar(&asJSON, "json", false, "print each entry as one JSON object a line")
	return c
}

// outcomeText is what became of it, and why.
func outcomeText(e release.Entry) string {
	what := strings.ReplaceAll(e.Outcome, "_", " ")
	text := strings.TrimPrefix(plainText(e.Text), what+": ")
	if text == "" {
		return what
	}
	return what + ": " + text
}

// cell is a text in a table.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return control.Printable(text)
}

func tookText(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Millisecond).String()
}
