package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/control"
)

func newUpgrade(t *target) *cobra.Command {
	var noWait, drain, leave, asJSON bool
	var release string
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
unit's ExecReload=, a warning names the variables of the unit that have changed and are not
passed on.

--release starts a release by its name, an app that was started as DIR/current/PROGRAM from
DIR/releases/NAME/PROGRAM. Switch the symlink current after that: as long as it leads to the
old release, a crash starts the old version.

` + exitHelp,
		Example: `  cp shop.new shop.tmp && mv shop.tmp shop
  gracex upgrade --pid-file /run/shop.pid && echo deployed
  gracex upgrade --drain --timeout 10m
  gracex upgrade --env-file /etc/shop.env --args -- -addr :8080
  gracex upgrade --release 1.5.0 && ln -s releases/1.5.0 current.new && mv -T current.new current
  gracex upgrade --json | jq -r .reason # exit status as without it, with set -o pipefail
  gracex upgrade --leave                # once, to leave start_server`,
		RunE: func(c *cobra.Command, args []string) error {
			if noWait && (drain || leave) {
				return usagef("--no-wait excludes --drain and --leave")
			}
			if c.Flags().Changed("release") && (leave || release == "") {
				return usagef("--release %q: give the name of a release; it excludes --leave", release)
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
			if err != nil && asJSON {
				return printReport(c.OutOrStdout(), control.NewReport(control.Outcome{}, err))
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			u := &upgrade{
				out: newScreen(c.OutOrStdout()), err: newScreen(c.ErrOrStderr()),
				timeout: timeout, noWait: noWait, asJSON: asJSON,
			}
			return u.run(ctx, client, status, control.UpgradeOptions{Drain: drain, Leave: leave, Start: options, Release: release})
		},
	}
	c.Flags().BoolVar(&noWait, "no-wait", false, "return when the new process runs, and do not wait for the outcome")
	c.Flags().BoolVar(&drain, "drain", false, "wait until the old process has drained, too")
	c.Flags().BoolVar(&leave, "leave", false, "leave the program that starts the app's versions (graceful, overseer,\nstart_server, einhorn), which ends then; implies --drain")
	c.Flags().StringVar(&release, "release", "", "`name` of the release to start, a directory in releases/ (default:\nthe one to which current leads)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the outcome as one JSON object, and nothing else")
	c.Flags().DurationVar(&timeout, "timeout", control.DefaultTimeout, "how long to wait for the outcome")
	start.add(c)
	return c
}

// upgrade shows an upgrade.
type upgrade struct {
	out, err *screen
	timeout  time.Duration
	noWait   bool
	asJSON   bool
	stdout   io.Writer // for the object, with asJSON
	started  int       // the new process, once it runs
}

// errStarted ends the watching of one who does not want to wait.
var errStarted = errors.New("the new process runs")

// run starts the upgrade and shows its steps.
func (u *upgrade) run(ctx context.Context, client *control.Client, status control.Status, opts control.UpgradeOptions) error {
	if u.asJSON {
		u.stdout, u.out = u.out, newScreen(io.Discard)
	} else if err := u.out.line("upgrading %s", control.Process(status.PID, status.Version)); err != nil {
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
			if !u.asJSON { // the outcome has it, too
				_ = u.err.line("%s: %s", u.err.paint(red, "warning"), control.Printable(e.Text))
			}
			return
		}
		show.event(e)
		if u.noWait && e.Step == control.StepStarted {
			leave(errStarted)
		}
	}
	outcome, err := client.Upgrade(watching, opts)
	show.end()
	if u.asJSON {
		return u.report(ctx, watching, outcome, err)
	}
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
		return u.out.line("%-10s %s ends now; nothing must start it again", "left", control.Printable(outcome.Left))
	}
	return nil
}

// report prints the outcome as JSON.
func (u *upgrade) report(ctx, watching context.Context, o control.Outcome, err error) error {
	report := control.NewReport(o, err)
	switch {
	case errors.Is(context.Cause(watching), errStarted):
		report = control.Report{Outcome: control.Outcome{OK: true, Kind: control.KindStarted, NewPID: u.started}}
	case o.Kind == "" && ctx.Err() != nil: // it is ctx that has ended the watching
		report.ExitStatus = control.ExitStatus(ctx.Err())
	}
	return printReport(u.stdout, report)
}

// printReport prints a report, and returns its exit status as an error.
func printReport(w io.Writer, r control.Report) error {
	if err := control.WriteJSON(w, r); err != nil || r.ExitStatus == control.ExitOK {
		return err
	}
	return &exitError{code: r.ExitStatus, err: errors.New(r.Reason), silent: true}
}

// unknown: the watching ended before the outcome. The upgrade goes on.
func (u *upgrade) unknown(ctx, watching context.Context, client *control.Client, err error) error {
	goesOn := "the upgrade goes on in the app; see: gracex status --socket " + control.Printable(client.Path())
	switch {
	case errors.Is(context.Cause(watching), errStarted):
		return u.out.line("process %d runs; the outcome is not waited for, see: gracex status --socket %s", u.started, control.Printable(client.Path()))
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &exitError{code: control.ExitTimedOut, err: fmt.Errorf("no outcome within %v; %s", u.timeout, goesOn)}
	case ctx.Err() != nil:
		return &exitError{code: control.ExitInterrupted, err: fmt.Errorf("interrupted; %s", goesOn)}
	}
	return err
}

// conclude shows the outcome.
func (u *upgrade) conclude(o control.Outcome) error {
	if o.OK {
		return u.out.line("%s", u.out.paintTo(green, o.String(), " "))
	}
	_ = u.err.line("%s", u.err.paintTo(red, o.String(), ":"))
	_ = u.err.line("%s%s", o.Details(), o.After())
	return &exitError{code: o.ExitStatus(), err: errors.New(o.Reason), silent: true}
}
