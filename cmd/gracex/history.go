package main

import (
	"context"
	"errors"
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

func newRecover(t *target) *cobra.Command {
	store, repair := &storeFlags{target: t}, false
	c := &cobra.Command{
		Use:   "recover",
		Short: "Put in order what a deploy has left that was killed",
		Long: `Put in order what a deploy has left that was killed. The next deploy does it, too. What the
next start gets is a good release in any case. With --repair a state.json that is broken or
gone is made anew from the releases and the history.

` + exitHelp,
		Example: `  gracex recover --pid-file /run/shop.pid
  gracex recover --dir /srv/shop --repair`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			show := newSteps(c, false)
			p, err := store.open(ctx, false)
			if err != nil {
				return err
			}
			defer p.close()
			if repair {
				if _, err := p.store.Repair(); err != nil {
					return err
				}
			}
			r, err := p.store.Recover(ctx, p.client, show.event)
			if err != nil {
				return err
			}
			if r.Release == "" {
				return show.out.line("%-10s nothing was cut short; the next start gets %s", "current", control.Printable(r.Current))
			}
			return show.out.line("%-10s the next start gets %s", "current", control.Printable(r.Current))
		},
	}
	store.add(c)
	c.Flags().BoolVar(&repair, "repair", false, "make a broken state.json anew")
	return c
}

func newHold(t *target) *cobra.Command {
	store, reason, off := &storeFlags{target: t}, "", false
	c := &cobra.Command{
		Use:   "hold",
		Short: "Hold those who follow a source, so that nothing new is started",
		Long: `Hold those who follow a source for this app, so that nothing new is started until
"gracex hold --off". A deploy by hand goes on.`,
		Example: `  gracex hold --reason "the sale ends on Friday" --pid-file /run/shop.pid
  gracex hold --off --pid-file /run/shop.pid`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			out := newScreen(c.OutOrStdout())
			p, err := store.openPatiently(ctx, out)
			if err != nil {
				return err
			}
			defer p.close()
			if off {
				if err := p.store.Unhold(); err != nil {
					return err
				}
				return out.line("%-10s those who follow a source go on", "hold ended")
			}
			if err := p.store.Hold(reason); err != nil {
				return err
			}
			return out.line("%-10s nothing new is started by those who follow a source, until \"gracex hold --off\"", "held")
		},
	}
	store.add(c)
	c.Flags().StringVar(&reason, "reason", "", "`words` for the history")
	c.Flags().BoolVar(&off, "off", false, "end the hold")
	return c
}

// storeExit is the exit status for an error of package release; ok is false for another one.
func storeExit(err error) (code int, ok bool) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return 0, false
	case errors.Is(err, release.ErrBusy):
		return control.ExitRefused, true
	case errors.Is(err, release.ErrNoApp):
		return control.ExitNotFound, true
	case errors.Is(err, release.ErrNotAccepted):
		return exitNotAccepted, true
	case errors.Is(err, release.ErrUnchanged):
		return control.ExitOK, true
	case errors.Is(err, release.ErrNotTried):
		return exitNotTried, true
	}
	return 0, false
}
