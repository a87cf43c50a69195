// Command demo shows what gracex is for: a server under load is replaced again
// and again by a new process, and no client loses a request.
//
//	go run ./examples/demo
//
// It builds the Gin example, starts it on a free loopback port, posts to it
// with clients that never send a request twice, and sends it SIGUSR2 every
// second. Then it puts the same load on the usual recipe, which passes the
// listener on and ends the old process with http.Server.Shutdown. One runs
// after the other and not beside it, so that neither takes the other's
// processors. At the end a ledger says what each of them lost. A reconnect in it
// is a connection that a client had to open though it keeps its own.
//
// The exit status is 1 if gracex lost a request or an upgrade failed, and 2 if
// there was nothing to measure: wrong flags, or a program that can't be built
// or started.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const (
	exitLost = 1
	exitNone = 2
)

// options are the command line.
type options struct {
	gracex, usual  time.Duration // how long each of the two runs
	every          time.Duration // from one upgrade to the next
	clients, fresh int
	think          time.Duration
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout *os.File, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "demo: %v; see -help\n", err)
		return exitNone
	}
	if !supported {
		fmt.Fprintf(stderr, "demo: upgrades are not supported on %s; run it on Linux or macOS\n", runtime.GOOS)
		return exitNone
	}
	// SIGHUP is the terminal that closes. Nobody reads on then, but there are
	// processes to end.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// `demo | head` ends the reader, and without this the demo with it.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	scr := newScreen(stdout)
	entries, err := compare(ctx, opts, scr)
	if len(entries) > 0 {
		scr.print(ledger(entries))
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return exitNone
	}
	return exitStatus(entries)
}

// exitStatus judges gracex, which is the first entry. What the usual recipe
// loses is no failure of the demo.
func exitStatus(entries []entry) int {
	if e := entries[0]; e.result.Failed > 0 || len(e.failed) > 0 {
		return exitLost
	}
	return 0
}

// compare builds both programs, so that a failure to is known at once, and runs
// one after the other. It returns the entries that it has, whatever the error.
func compare(ctx context.Context, opts options, scr *screen) (entries []entry, err error) {
	dir, err := os.MkdirTemp("", "gracex-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	programs, lasting := []program{ginExample}, []time.Duration{opts.gracex}
	if opts.usual > 0 {
		programs, lasting = append(programs, usualRecipe), append(lasting, opts.usual)
	}
	for i := range programs {
		scr.print("building " + programs[i].pkg)
		if err := programs[i].build(ctx, dir); err != nil {
			return nil, err
		}
	}
	scr.print(fmt.Sprintf("\n%d keep-alive clients and %d that connect anew for each request post without retries;"+
		"\none SIGUSR2 every %v. ^C ends it early.\n", opts.clients, opts.fresh, opts.every))
	for i, p := range programs {
		e, err := try(ctx, p, lasting[i], opts, scr)
		if e.name != "" {
			entries = append(entries, e)
		}
		if ctx.Err() != nil && len(entries) > 0 {
			return entries, nil // what there is, is worth its ledger
		}
		if err != nil {
			return entries, err
		}
		if scr.broken() {
			break
		}
	}
	return entries, nil
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&o.gracex, "for", 20*time.Second, "how long gracex runs")
	flags.DurationVar(&o.usual, "usual", 10*time.Second, "how long the usual recipe runs, 0 not at all")
	flags.DurationVar(&o.every, "every", time.Second, "time from one upgrade to the next")
	flags.IntVar(&o.clients, "clients", 32, "clients that keep their connection")
	flags.IntVar(&o.fresh, "fresh", 4, "clients that open a connection for each request")
	flags.DurationVar(&o.think, "think", 2*time.Millisecond, "how long a client waits between an answer and its next request")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stderr, "usage: demo [flags]\n\nReplace a server under load again and again, and count what its clients lose.\n\nflags:")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return o, err
	case err != nil:
		return o, err
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.gracex <= 0 || o.usual < 0 || o.think < 0:
		return o, errors.New("-for must be more than 0, -usual and -think not less")
	case o.every < minEvery:
		return o, fmt.Errorf("-every must be %v or more", minEvery)
	case o.clients < 0 || o.fresh < 0 || o.clients+o.fresh == 0:
		return o, errors.New("-clients and -fresh must be 0 or more, and not both 0")
	}
	return o, nil
}
