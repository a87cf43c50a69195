package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// deployFlags are those of gracex deploy.
type deployFlags struct {
	source  sourceFlags
	stage   stageFlags
	keep    int
	install bool
	adopt   bool
	inPlace bool
	asJSON  bool
	timeout time.Duration
}

func newDeploy(t *target) *cobra.Command {
	d, store := &deployFlags{}, &storeFlags{target: t}
	c := &cobra.Command{
		Use:   "deploy FILE|DIR|URL|github:OWNER/REPO",
		Short: "Put a new version in place, and upgrade the app to it",
		Long: `Fetch a release, check it without running it, upgrade the running app to it, and make it what
the next start gets when its probation is over. If the version is bad, or the deploy is killed
at whatever moment, the next start gets the version before.

The app is started as /srv/shop/current/shop, and /srv/shop is found by the app that runs. An
app that runs from a plain file becomes such a one by --adopt.

A FILE is a program at hand, or an archive with it. It needs no signature. A URL, a repository
on GitHub and a DIR with a release.json need --key, the public key with which their releases
are signed.

` + exitHelp,
		Example: `  gracex deploy ./shop --pid-file /run/shop.pid
  gracex deploy https://dl.example.org/shop/stable --key shop.pub
  gracex deploy github:example/shop --key shop.pub --token-file /etc/shop.token
  gracex deploy ./shop --adopt                     # once, for an app that runs from a plain file
  gracex deploy ./shop --in-place                  # for one that is to stay a plain file
  gracex deploy ./shop --install --dir /srv/shop   # before its first start`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if d.timeout < 0 {
				return usagef("--timeout %v: give a positive duration, such as 5m", d.timeout)
			}
			if d.keep == 0 {
				return usagef("--keep 0 leaves no way back; give 1 or more, or -1 for all")
			}
			if n := count(d.adopt, d.install, d.inPlace); n > 1 {
				return usagef("give one of --adopt, --install and --in-place")
			}
			from, err := d.source.parse(args[0])
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c)
			defer stop()
			if d.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d.timeout)
				defer cancel()
			}
			show := newSteps(c, d.asJSON)
			if d.inPlace {
				return show.finish(d.runInPlace(ctx, t, from, show))
			}
			return show.finish(d.run(ctx, store, from, show))
		},
	}
	f := c.Flags()
	store.add(c)
	d.source.add(c)
	d.stage.add(c)
	f.IntVar(&d.keep, "keep", release.DefaultKeep, "how many good releases to keep beside the current one; -1 is all")
	f.BoolVar(&d.install, "install", false, "make the release current without a trial; for an app that does not run")
	f.BoolVar(&d.adopt, "adopt", false, "make the first release of the plain file that the app runs from")
	f.BoolVar(&d.inPlace, "in-place", false, "replace the plain file that the app runs from, and put it back if the new one is\nbad; a crash or a boot meanwhile starts the new one")
	f.BoolVar(&d.asJSON, "json", false, "print each step, and the outcome at last, as one JSON object a line")
	f.DurationVar(&d.timeout, "timeout", 0, "how long the whole may take; 0 is without a limit")
	return c
}

// run deploys. The outcome is shown.
func (d *deployFlags) run(ctx context.Context, flags *storeFlags, from *source, show *steps) (o control.Outcome, err error) {
	p, err := flags.open(ctx, d.adopt)
	if err != nil {
		return o, err
	}
	defer p.close()
	switch {
	case p.client == nil && !d.install:
		return o, fmt.Errorf("%w; start the app, or make the release current without a trial by --install", p.absent)
	case p.client != nil && d.install:
		return o, notTried("--install is for an app that does not run, and this one does: leave it out, so that the app is upgraded")
	}
	defer func() { err = show.cut(ctx, p.store, d.timeout, err) }()
	if _, err := p.store.Recover(ctx, p.client, show.event); err != nil {
		return o, err
	}
	if d.adopt && p.plain { // else there are releases already
		if err := p.adopt(ctx, show); err != nil {
			return o, err
		}
	}
	r, err := from.stage(ctx, p, &d.stage, show.event)
	if err != nil {
		return o, err
	}
	if runs := p.store.Running(); d.install && p.client == nil && len(runs) > 0 {
		return o, notTried("a process runs %s: name the app by --pid-file, and deploy without --install", strings.Join(runs, " and "))
	}
	if d.install {
		return control.Outcome{OK: true, Kind: kindInstalled}, p.store.Install(ctx, p.client, r, show.event)
	}
	if o, err = p.store.Try(ctx, p.client, r, show.event); err != nil || !o.OK {
		show.stays = p.store.Current()
		return o, err
	}
	if _, err := p.store.Prune(ctx, p.client, d.keep, show.event); err != nil {
		show.event(release.Event{Kind: release.EventWarning, Time: time.Now(), Text: fmt.Sprintf("old releases stay: %v", err)})
	}
	show.kept(p.store)
	return o, nil
}

// runInPlace deploys a file at hand without releases.
func (d *deployFlags) runInPlace(ctx context.Context, t *target, from *source, show *steps) (o control.Outcome, err error) {
	if from.from != nil {
		return o, usagef("--in-place is for a file at hand, and not for %s", from.from)
	}
	client, _, err := t.find(ctx)
	if err != nil {
		return o, err
	}
	return release.InPlace(ctx, client, from.path, d.stage.options(), show.event)
}

func count(all ...bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// adopt makes the first release of the plain file that the app runs from. It gets the app's own version if that can be
// the name of a directory.
func (p *place) adopt(ctx context.Context, show *steps) error {
	_, err := p.store.Adopt(ctx, p.client, p.runs, show.event)
	if p.runs != "" && errors.Is(err, release.ErrNotAccepted) {
		_, err = p.store.Adopt(ctx, p.client, "", show.event)
	}
	return err
}

// kindInstalled is the kind of an outcome without an upgrade.
const kindInstalled = "installed"

func newBack(t *target) *cobra.Command {
	store, asJSON := &storeFlags{target: t}, false
	c := &cobra.Command{
		Use:   "back",
		Short: "Upgrade the app to the good release before the current one",
		Long: `Upgrade the app to the good release before the current one. Called again, it goes to the one
before that. Those who follow a source are held until a newer release comes, or until
"gracex hold --off". The release that is left can be deployed again.

` + exitHelp,
		Example: `  gracex back --pid-file /run/shop.pid`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c)
			defer stop()
			show := newSteps(c, asJSON)
			return show.finish(back(ctx, store, show))
		},
	}
	store.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print each step, and the outcome at last, as one JSON object a line")
	return c
}

func back(ctx context.Context, flags *storeFlags, show *steps) (o control.Outcome, err error) {
	p, err := flags.open(ctx, false)
	if err != nil {
		return o, err
	}
	defer p.close()
	if p.client == nil {
		return o, fmt.Errorf("%w; start the app, which is upgraded to the release before", p.absent)
	}
	defer func() { err = show.cut(ctx, p.store, 0, err) }()
	if _, err := p.store.Recover(ctx, p.client, show.event); err != nil {
		return o, err
	}
	if o, err = p.store.Back(ctx, p.client, show.event); err != nil || !o.OK {
		show.stays = p.store.Current()
		return o, err
	}
	show.kept(p.store)
	return o, nil
}
