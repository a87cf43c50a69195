package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// followFlags are those of gracex follow, and of gracex run with --follow.
type followFlags struct {
	source sourceFlags
	o      release.FollowOptions
	window string
	check  checkFlags
}

func (f *followFlags) add(c *cobra.Command) {
	f.source.add(c)
	fl := c.Flags()
	fl.DurationVar(&f.o.Every, "every", release.DefaultEvery, "how often to ask the source, give or take a fifth")
	fl.StringVar(&f.window, "window", "", "`when` releases are started, as \"Mon-Thu 09:00-16:00 Europe/Berlin\"; left out, always")
	fl.BoolVar(&f.o.Canary, "canary", false, "be in the first wave of each release")
	fl.IntVar(&f.o.Keep, "keep", release.DefaultKeep, "how many good releases to keep beside the current one; -1 is all")
	f.check.add(c)
}

// follower is what the flags say, for the source.
func (f *followFlags) follower(t *target, arg string) (*release.Follower, error) {
	src, err := f.source.parse(arg)
	if err != nil {
		return nil, err
	}
	if src.from == nil {
		return nil, usagef("%s is no directory with a release.json; a single file is deployed by gracex deploy", arg)
	}
	if f.o.Every <= 0 {
		return nil, usagef("--every %v: give a positive duration, such as 5m", f.o.Every)
	}
	if f.o.Window, err = release.ParseWindow(f.window); err != nil {
		return nil, usagef("--window: %w", err)
	}
	f.check.set(&f.o.Stage)
	find := func(ctx context.Context) (*control.Client, control.Status, error) { return t.find(ctx) }
	trust := src.trust
	if trust.Name = src.name; trust.Name == "" {
		return nil, usagef("give --name, the name of the product that is signed")
	}
	return &release.Follower{Source: src.from, Trust: trust, Find: find, FollowOptions: f.o}, nil
}

func newFollow(t *target) *cobra.Command {
	f, once, asJSON, eof := &followFlags{}, false, false, false
	c := &cobra.Command{
		Use:   "follow DIR|URL|github:OWNER/REPO --name NAME --key KEY",
		Short: "Keep the app at the release that a source offers",
		Long: `Ask a source again and again, and deploy each release that it offers as gracex deploy does. A
release that was bad is never tried again, and what can't be tried for now is tried later. The
signed manifest can name waves, so that a part of all hosts begins, and can halt a release.

It needs no rights but to write the app's directory and to use its control socket, so run it
as a unit of its own with a user of its own (docs/following.md). It goes on until SIGINT or SIGTERM.

` + exitHelp,
		Example: `  gracex follow https://dl.example.org/shop/stable --name shop --key /etc/shop.pub --pid-file /run/shop.pid
  gracex follow github:example/shop --name shop --key /etc/shop.pub --window "Mon-Thu 09:00-16:00 Europe/Berlin"
  gracex follow https://dl.example.org/shop/stable --name shop --key /etc/shop.pub --once   # from a timer`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			follower, err := f.follower(t, args[0])
			if err != nil {
				return err
			}
			ctx, stop := stoppable(c)
			defer stop()
			if eof {
				go func() {
					_, _ = io.Copy(io.Discard, c.InOrStdin())
					stop()
				}()
			}
			if once {
				show := newSteps(c, asJSON)
				follower.Events, follower.Log = show.event, slog.New(slog.DiscardHandler)
				return show.finish(follower.Once(ctx))
			}
			follower.Log = slog.New(slog.NewTextHandler(c.ErrOrStderr(), nil))
			if asJSON {
				follower.Events = func(e release.Event) { _ = control.WriteJSON(c.OutOrStdout(), e) }
			}
			return follower.Run(ctx)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&once, "once", false, "ask once, and return with what came of it")
	c.Flags().BoolVar(&asJSON, "json", false, "print each step as one JSON object a line")
	c.Flags().BoolVar(&eof, untilEOF, false, "end when standard input does")
	_ = c.Flags().MarkHidden(untilEOF)
	return c
}

// stoppable is a context that Ctrl-C and SIGTERM end.
func stoppable(c *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := interruptible(c)
	ctx, also := signal.NotifyContext(ctx, syscall.SIGTERM)
	return ctx, func() { also(); stop() }
}

// untilEOF is a flag of the follower of gracex run: it ends when its standard input does, and so with gracex run,
// however that ends.
const untilEOF = "until-eof"

// beside is a follower that runs beside a supervisor, which has no network code itself.
type beside struct {
	args []string // of the command
	log  *slog.Logger
	err  io.Writer
}

// beside returns the follower of a supervisor, with the flags of the command line that concern it. What is wrong with
// them is said now.
func (f *followFlags) beside(c *cobra.Command, source string, log *slog.Logger) (*beside, error) {
	if _, err := f.follower(&target{}, source); err != nil {
		return nil, err
	}
	args := []string{"follow", source, "--" + untilEOF, "--pid", strconv.Itoa(os.Getpid())}
	own := &cobra.Command{}
	new(followFlags).add(own)
	c.Flags().Visit(func(flag *pflag.Flag) {
		if own.Flags().Lookup(flag.Name) == nil {
			return
		}
		if all, ok := flag.Value.(pflag.SliceValue); ok {
			for _, v := range all.GetSlice() {
				args = append(args, "--"+flag.Name+"="+v)
			}
			return
		}
		args = append(args, "--"+flag.Name+"="+flag.Value.String())
	})
	return &beside{args, log, c.ErrOrStderr()}, nil
}

// againAfter is how long a follower that has ended is waited for to be started again.
const againAfter = 10 * time.Second

// run starts the follower, and starts it again when it ends, until ctx ends.
func (b *beside) run(ctx context.Context) {
	for {
		if err := b.once(ctx); ctx.Err() == nil {
			b.log.Error("the follower has ended, and is started again", "error", err, "in", againAfter.String())
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return
		}
	}
}

func (b *beside) once(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(self, b.args...)
	c.Stdout, c.Stderr = b.err, b.err
	hold, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = hold.Close() })()
	return c.Wait()
}
