package control

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// Commands are the commands that Command knows.
var Commands = []string{"status", "upgrade", "rollback", "promote", "stop", "ledger", "totals"}

// DefaultTimeout is how long Command waits for the outcome of an upgrade or a stop if --timeout is left out. It is
// more than the limits of an app that sets none.
const DefaultTimeout = 5 * time.Minute

// answerTime is how long an app can take to answer a question about itself.
const answerTime = 5 * time.Second

// Command runs a command for an operator, and returns the exit status. It is a small form of the command gracex, in
// plain text, for a program that offers it under a name of its own:
//
//	if len(os.Args) > 1 && os.Args[1] == "ctl" {
//		os.Exit(control.Command(ctx, os.Args[2:], control.Query{PIDFile: "/run/shop.pid"}, os.Stdout, os.Stderr))
//	}
//
// A program on gracex has it without such a line, by the variable core.EnvCommand. The first argument is one of
// Commands, and -h behind it lists its flags. The flags --pid, --pid-file and --socket replace app, which selects
// the app without them. The end of ctx ends the waiting. What was begun goes on in the app.
func Command(ctx context.Context, args []string, app Query, out, errs io.Writer) int {
	c := &command{app: app, out: out, errs: errs}
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	if !slices.Contains(Commands, name) {
		return c.fail(ExitUsage, fmt.Errorf("%q is none of the commands %s", name, strings.Join(Commands, ", ")))
	}
	c.flags(name)
	switch err := c.set.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return ExitOK
	case err != nil:
		return ExitUsage // which flag has said
	case c.set.NArg() > 0:
		return c.fail(ExitUsage, fmt.Errorf("%s takes no argument, and not %q", name, c.set.Arg(0)))
	case c.noRelease():
		return c.fail(ExitUsage, errors.New("--release: give the name of a release, and no --leave"))
	case c.timeout <= 0:
		return c.fail(ExitUsage, fmt.Errorf("--timeout %v: give a positive duration, such as 90s", c.timeout))
	}
	if given := (Query{PID: c.pid, PIDFile: c.pidFile, Socket: c.socket}); given != (Query{}) {
		c.app = given
	}
	client, status, err := c.find(ctx)
	if err != nil {
		if name != "upgrade" {
			return c.fail(ExitStatus(err), err)
		}
		return c.conclude(Outcome{}, err)
	}
	return c.run(ctx, name, client, status)
}

// command is one command line.
type command struct {
	app                     Query
	out, errs               io.Writer
	set                     *flag.FlagSet
	pid                     int
	pidFile, socket, reason string
	drain, leave, noWait    bool
	asJSON                  bool
	release                 string
	timeout                 time.Duration
}

func (c *command) flags(name string) {
	c.set = flag.NewFlagSet(name, flag.ContinueOnError)
	c.set.SetOutput(c.errs)
	c.set.IntVar(&c.pid, "pid", 0, "process `number` of the app, of any of its processes")
	c.set.StringVar(&c.pidFile, "pid-file", "", "pid `file` of the app")
	c.set.StringVar(&c.socket, "socket", "", "`path` of the app's control socket")
	c.timeout = DefaultTimeout
	switch name {
	case "status", "totals":
		c.set.BoolVar(&c.asJSON, "json", false, "as JSON")
	case "upgrade":
		c.set.BoolVar(&c.asJSON, "json", false, "print the outcome as one JSON object, and nothing else")
		c.set.BoolVar(&c.drain, "drain", false, "wait until the old process has drained, too")
		c.set.BoolVar(&c.leave, "leave", false, "leave the program that starts the app's versions; implies --drain")
		c.set.StringVar(&c.release, "release", "", "`name` of the release to start; left out: that at the launch path")
		c.set.DurationVar(&c.timeout, "timeout", DefaultTimeout, "how long to wait for the outcome")
	case "rollback":
		c.set.StringVar(&c.reason, "reason", "", "`words` for the log")
	case "stop":
		c.set.BoolVar(&c.noWait, "no-wait", false, "return when the stop has begun")
		c.set.DurationVar(&c.timeout, "timeout", DefaultTimeout, "how long to wait")
	}
}

// noRelease reports whether a release is to be started and none is named: the variable of a script was empty.
func (c *command) noRelease() bool {
	given := false
	c.set.Visit(func(f *flag.Flag) { given = given || f.Name == "release" })
	return given && (c.release == "" || c.leave)
}

// find returns the app's client once it has answered, and what it has said.
func (c *command) find(ctx context.Context) (*Client, Status, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, ErrHangs)
	defer cancel()
	client, err := Find(ctx, c.app)
	var status Status
	if err == nil {
		status, err = client.Status(ctx)
	}
	if err != nil && errors.Is(context.Cause(ctx), ErrHangs) {
		err = fmt.Errorf("%w (%v; %w)", ErrHangs, answerTime, err)
	}
	return client, status, err
}

func (c *command) run(ctx context.Context, name string, client *Client, status Status) int {
	switch name {
	case "status":
		if c.asJSON {
			return c.print(status)
		}
		fmt.Fprint(c.out, StatusText(status, time.Now(), 0))
		fmt.Fprint(c.out, c.servers(ctx, client))
	case "ledger":
		ctx, cancel := context.WithTimeoutCause(ctx, answerTime, ErrHangs)
		defer cancel()
		raw, err := client.Ledger(ctx)
		if err != nil {
			return c.fail(ExitStatus(err), err)
		}
		return c.print(raw)
	case "totals":
		ctx, cancel := context.WithTimeoutCause(ctx, answerTime, ErrHangs)
		defer cancel()
		totals, err := client.Totals(ctx, 0)
		switch {
		case err != nil:
			return c.fail(ExitStatus(err), err)
		case c.asJSON:
			return c.print(totals)
		}
		fmt.Fprint(c.out, TotalsText(totals, time.Now()))
	case "promote":
		if err := client.Promote(ctx); err != nil {
			return c.fail(ExitStatus(err), err)
		}
		fmt.Fprintf(c.out, "%s goes on by itself: its probation is over\n", Process(status.PID, status.Version))
	case "rollback":
		if err := client.Rollback(ctx, c.reason); err != nil {
			return c.fail(ExitStatus(err), err)
		}
		fmt.Fprintf(c.out, "%s was asked to leave the service to the process before it\n",
			Process(status.PID, status.Version))
	case "stop":
		return c.stop(ctx, client, status)
	case "upgrade":
		return c.upgrade(ctx, client, status)
	}
	return ExitOK
}

// servers is what stands below a status.
func (c *command) servers(ctx context.Context, client *Client) string {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, ErrHangs)
	defer cancel()
	totals, err := client.Totals(ctx, 0)
	return ServersText(totals, err, time.Now())
}

func (c *command) stop(ctx context.Context, client *Client, status Status) int {
	if c.noWait {
		if err := client.End(ctx); err != nil {
			return c.fail(ExitStatus(err), err)
		}
		fmt.Fprintf(c.out, "%s stops\n", Process(status.PID, status.Version))
		return ExitOK
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := time.Now()
	if err := client.StopAndWait(ctx); err != nil {
		return c.fail(ExitStatus(err), err)
	}
	fmt.Fprintf(c.out, "stopped after %v\n", time.Since(began).Round(time.Millisecond))
	return ExitOK
}

func (c *command) upgrade(ctx context.Context, client *Client, status Status) int {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	c.say("upgrading %s\n", Process(status.PID, status.Version))
	return c.conclude(client.Upgrade(ctx, UpgradeOptions{Drain: c.drain, Leave: c.leave, Release: c.release, Events: c.event}))
}

// event shows a step.
func (c *command) event(e Event) {
	switch e.Step {
	case StepFailed, StepRolledBack, StepRefused: // the outcome says it
	case StepWarning:
		if !c.asJSON { // the outcome has it, too
			fmt.Fprintf(c.errs, "warning: %s\n", text.Printable(e.Text))
		}
	default:
		c.say("%s\n", e)
	}
}

// conclude shows what an upgrade has come to.
func (c *command) conclude(o Outcome, err error) int {
	if err == nil || o.Kind != "" || c.asJSON {
		report := NewReport(o, err)
		switch {
		case c.asJSON:
			c.print(report)
		case !o.OK:
			fmt.Fprintf(c.errs, "%s\n%s%s\n", o, o.Details(), o.After())
		case err != nil:
			return c.fail(report.ExitStatus, err)
		default:
			fmt.Fprintln(c.out, o)
		}
		return report.ExitStatus
	}
	return c.fail(ExitStatus(err), err)
}

// say writes for people.
func (c *command) say(format string, args ...any) {
	if !c.asJSON {
		fmt.Fprintf(c.out, format, args...)
	}
}

func (c *command) print(v any) int {
	if err := WriteJSON(c.out, v); err != nil {
		return c.fail(ExitFailed, err)
	}
	return ExitOK
}

func (c *command) fail(status int, err error) int {
	fmt.Fprintf(c.errs, "gracex: %v\n", text.Error(err))
	return status
}
