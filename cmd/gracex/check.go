package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

func newCheck(t *target) *cobra.Command {
	var (
		from   sourceFlags
		stage  stageFlags
		asJSON bool
	)
	store := &storeFlags{target: t}
	c := &cobra.Command{
		Use:   "check [FILE|DIR|URL|github:OWNER/REPO]",
		Short: "See whether a new version starts, and change nothing",
		Long: `Look at a release as gracex deploy does, and have the app start it up to the moment at which it
is ready: with its configuration, its sockets and its ready checks. Then the new process ends,
and the app serves all the time. Without an argument it is what the next start gets.

What the program does before it is ready, such as a migration of a database, is done. The
release stays beside the others, and gracex deploy does not fetch it again.

` + exitHelp,
		Example: `  gracex check --pid-file /run/shop.pid
  gracex check ./shop --pid-file /run/shop.pid && gracex deploy ./shop --pid-file /run/shop.pid`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			show := newSteps(c, asJSON)
			if len(args) == 0 {
				client, _, err := t.find(ctx)
				if err != nil {
					return show.finish(control.Outcome{}, err)
				}
				return show.finish(check(ctx, client, "", show))
			}
			src, err := from.parse(args[0])
			if err != nil {
				return err
			}
			return show.finish(checkRelease(ctx, store, src, &stage, show))
		},
	}
	store.add(c)
	from.add(c)
	stage.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print each step, and the outcome at last, as one JSON object a line")
	return c
}

// checkRelease brings a release to the others, and has the app start it up to ready.
func checkRelease(ctx context.Context, flags *storeFlags, src *source, stage *stageFlags, show *steps) (o control.Outcome, err error) {
	p, err := flags.open(ctx, false)
	if err != nil {
		return o, err
	}
	defer p.close()
	if p.client == nil {
		return o, p.absent
	}
	if _, err := p.store.Recover(ctx, p.client, show.event); err != nil {
		return o, err
	}
	r, err := src.stage(ctx, p, stage, show.event)
	if err != nil {
		return o, err
	}
	return check(ctx, p.client, r.ID, show)
}

func check(ctx context.Context, client *control.Client, id string, show *steps) (control.Outcome, error) {
	return client.Upgrade(ctx, control.UpgradeOptions{Release: id, Check: true, Events: func(e control.Event) {
		show.event(release.Event{Kind: release.EventStep, Time: e.Time, Release: id, Step: &e})
	}})
}
