package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

// upgradeTime is the default of --timeout: more than an app's own limits.
const upgradeTime = 5 * time.Minute

func newUpgrade(t *target) *cobra.Command {
	var noWait, drain, leave bool
	var timeout time.Duration
	var start startFlags
	c := &cobra.Command{
		Use:   "upgrade [flags] [--args -- arguments...]",
		Short: "Upgrade the app to the binary that is on disk now, and wait for the outcome",
		Long: `Upgrade the app to the binary that is on disk now, and show the steps. The command returns
with exit status 0 when the new version serves and its probation is over. Otherwise it
returns with the reason why the old version serves. Ctrl-C and --timeout end the waiting,
and the upgrade goes on.

The new process gets the environment and the arguments of the old one. --env, --env-file and
--args change them, for this version and those after it. If systemd runs this command as the
unit's ExecReload=, a warning names what has changed in the unit's environment and is not
passed on.

` + exitHelp,
		Example: `  cp shop.new shop.tmp && mv shop.tmp shop
  gracex upgrade --pid-file /run/shop.pid && echo deployed
  gracex upgrade --drain --timeout 10m
  gracex upgrade --env-file /etc/shop.env --args -- -addr :8080
  gracex upgrade --leave                # once, to leave start_server`,
		RunE: func(c *cobra.Command, args []string) error {
			if noWait && (drain || leave) {
				return usagef("--no-wait excludes --drain and --leave")
			}
			if timeout <= 0 {
				return usagef("--timeout %v: give a positive duration, such as 90s", timeout)
			}
			options, err := start.options(c, args)
			if err != nil {
				return err
			}
			ctx, stop := interruptible(c)
			defer stop()
			client, status, err := t.find(ctx)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			u := &upgrade{out: newScreen(c.OutOrStdout()), err: newScreen(c.ErrOrStderr()), timeout: timeout, noWait: noWait}
			return u.run(ctx, client, status, control.UpgradeOptions{Drain: drain, Leave: leave, Start: options})
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "return when the new process runs, and do not wait for the outcome")
	c.Flags().BoolVar(&drain, "drain", false, "wait until the old process has drained, too")
	c.Flags().BoolVar(&leave, "leave", false, "leave the program that starts the app's versions (graceful, overseer,\nstart_server, einhorn), which ends then; implies --drain")
	c.Flags().DurationVar(&timeout, "timeout", upgradeTime, "how long to wait for the outcome")
	start.add(c)
	return c
}

// upgrade shows an upgrade.
type upgrade struct {
	out, err *screen
	timeout  time.Duration
	noWait   bool
	started  int // the new process, once it runs
}

// errStarted ends the watching of one who does not want to wait.
var errStarted = errors.New("the new process runs")

// run starts the upgrade and shows its steps.
func (u *upgrade) run(ctx context.Context, client *control.Client, status control.Status, opts control.UpgradeOptions) error {
	if err := u.out.line("upgrading %s", process(status.PID, status.Version)); err != nil {
		return err
	}
	watching, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	show := newProgress(u.out)
	defer show.end()
	opts.Events = func(e control.Event) {
		if e.Step == control.StepStarted {
			u.started = e.PID
		}
		if e.Step == control.StepWarning {
			show.end()
			_ = u.err.line("%s: %s", u.err.paint(red, "warning"), e.Text)
			return
		}
		show.event(e)
		if u.noWait && e.Step == control.StepStarted {
			leave(errStarted)
		}
	}
	outcome, err := client.Upgrade(watching, opts)
	show.end()
	if outcome.Kind == "" {
		return u.unknown(ctx, watching, client, err)
	}
	if cerr := u.conclude(outcome); cerr != nil {
		return cerr
	}
	if err != nil { // the outcome is good, but the drain was not watched to its end
		return u.unknown(ctx, watching, client, err)
	}
	if outcome.Left != "" {
		return u.out.line("%-10s %s ends now; nothing must start it again", "left", outcome.Left)
	}
	return nil
}

// unknown: the watching ended before the outcome. The upgrade goes on.
func (u *upgrade) unknown(ctx, watching context.Context, client *control.Client, err error) error {
	goesOn := "the upgrade goes on in the app; see: gracex status --socket " + client.Path()
	switch {
	case errors.Is(context.Cause(watching), errStarted):
		return u.out.line("process %d runs; the outcome is not waited for, see: gracex status --socket %s", u.started, client.Path())
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &exitError{code: exitTimedOut, err: fmt.Errorf("no outcome within %v; %s", u.timeout, goesOn)}
	case ctx.Err() != nil:
		return &exitError{code: exitInterrupted, err: fmt.Errorf("interrupted; %s", goesOn)}
	}
	return err
}

// conclude shows the outcome.
func (u *upgrade) conclude(o control.Outcome) error {
	if o.OK {
		return u.out.line("%s %s -> %s, generation %d, in %v", u.out.paint(green, "upgraded"),
			process(o.OldPID, o.OldVersion), process(o.NewPID, o.Version), o.Generation, o.Took.Round(time.Millisecond))
	}
	code, what := outcomeCode(o.Kind)
	_ = u.err.line("%s: %s", u.err.paint(red, what), o.Reason)
	if o.Exit != "" {
		_ = u.err.line("  it ended with %s", o.Exit)
	}
	if len(o.Stderr) > 0 {
		_ = u.err.line("  the last that it wrote to stderr:")
		for _, l := range o.Stderr {
			_ = u.err.line("  | %s", l)
		}
	}
	_ = u.err.line("%s serves on", process(o.OldPID, o.OldVersion))
	return &exitError{code: code, err: errors.New(o.Reason), silent: true}
}

// outcomeCode is the exit code of an outcome that is not OK, and what it is in words.
func outcomeCode(kind string) (code int, what string) {
	switch kind {
	case control.KindRefused:
		return exitRefused, "refused"
	case control.KindRolledBack:
		return exitRolledBack, "rolled back"
	case control.KindTimedOut:
		return exitTimedOut, "timed out"
	}
	return exitFailed, "failed"
}

// process names a process and its version.
func process(pid int, version string) string {
	if version == "" {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, version)
}
