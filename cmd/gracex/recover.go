package main

import (
	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

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
