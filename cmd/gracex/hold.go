package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

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

// busyAgain is how often a store is asked for that a deploy has.
const busyAgain = 100 * time.Millisecond

// openPatiently is open for what is not to be refused because a deploy runs: it waits for the end of that.
func (s *storeFlags) openPatiently(ctx context.Context, out *screen) (*place, error) {
	for said := false; ; {
		p, err := s.open(ctx, false)
		if !errors.Is(err, release.ErrBusy) {
			return p, err
		}
		if !said {
			said = true
			if err := out.line("%-10s %s", "waiting", control.Printable(plainText(err.Error()))); err != nil {
				return nil, err
			}
		}
		select {
		case <-time.After(busyAgain):
		case <-ctx.Done():
			return nil, err
		}
	}
}
