package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

// stdio is where a command reads and writes.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// answerTime is how long an app may take to answer a question about itself.
const answerTime = 5 * time.Second

// target is the app that a command is for.
type target struct {
	pid     int
	pidFile string
	socket  string
	program string // by which the app is found if none of the others is given; no flag
}

// find returns the app's client once it has answered, and what it has said.
func (t *target) find(ctx context.Context) (*control.Client, control.Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, control.ErrHangs)
	defer cancel()
	client, err := control.Find(ctx, control.Query{PID: t.pid, PIDFile: t.pidFile, Socket: t.socket, Program: t.program})
	if err != nil {
		return nil, control.Status{}, hanging(ctx, err)
	}
	status, err := client.Status(ctx)
	return client, status, hanging(ctx, err)
}

// hanging says what it means that an app has not answered in time.
func hanging(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), control.ErrHangs) {
		return &exitError{code: control.ExitTimedOut, err: fmt.Errorf("%w (%v; %w)", control.ErrHangs, answerTime, err)}
	}
	return err
}

// execute runs a command line and returns the exit code.
func execute(args []string, std stdio) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.Execute()
	var e *exitError
	switch {
	case err == nil:
	case brokenPipe(err):
		return control.ExitOK // nobody wants to read the rest
	case errors.As(err, &e) && e.silent:
	default:
		fmt.Fprintf(std.err, "gracex: %s\n", plainText(err.Error()))
	}
	return codeOf(err)
}

func newRoot(std stdio) *cobra.Command {
	t := &target{}
	root := &cobra.Command{
		Use:   "gracex",
		Short: "Show, upgrade and stop a running gracex app",
		Long: `gracex talks to a running gracex app over its control socket. It shows the app's processes,
upgrades the app to the binary that is on disk now, and reports the outcome.

It finds the app by --pid, --pid-file or --socket. Without these it takes the only gracex
app that runs. An app has a control socket if it has a pid file (core.WithPIDFile) or names
a socket (core.WithControlSocket).

` + exitHelp,
		Example: `  gracex status
  gracex upgrade --pid-file /run/shop.pid && echo deployed
  gracex run -- ./shop -addr :8080`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	f := root.PersistentFlags()
	f.IntVar(&t.pid, "pid", 0, "process `number` of the app, of any of its processes")
	f.StringVar(&t.pidFile, "pid-file", "", "pid `file` of the app")
	f.StringVar(&t.socket, "socket", "", "`path` of the app's control socket")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see %s --help", err, c.CommandPath())
	})
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		given := 0
		for _, name := range []string{"pid", "pid-file", "socket"} {
			f := c.Flags().Lookup(name)
			if f == nil || !f.Changed {
				continue
			}
			if given++; f.Value.String() == "" {
				return usagef("--%s is empty", name)
			}
		}
		switch {
		case given > 1:
			return usagef("give one of --pid, --pid-file and --socket")
		case c.Flags().Changed("pid") && t.pid <= 0:
			return usagef("--pid %d is no process number", t.pid)
		}
		return nil
	}
	root.AddCommand(
		newStatus(t), newUI(t), newUpgrade(t), newRollback(t), newPromote(t), newStop(t), newTotals(t), newEvents(t), newLedger(t), newRun(), newVersion(),
		newDeploy(t), newBack(t), newHistory(t), newRecover(t), newHold(t), newCheck(t), newFollow(t), newRelease(),
	)
	root.InitDefaultCompletionCmd()
	wrapUsage(root)
	return root
}

// wrapUsage gives cobra's own complaints about arguments the code for them.
func wrapUsage(c *cobra.Command) {
	for _, sub := range c.Commands() {
		wrapUsage(sub)
	}
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, a []string) error {
			if err := args(c, a); err != nil {
				return usagef("%w; see %s --help", err, c.CommandPath())
			}
			return nil
		}
	}
}

// interruptible is a context that Ctrl-C ends.
func interruptible(c *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := c.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt)
}
