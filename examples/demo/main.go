// Command demo shows what gracex is for. A server under load is replaced again and
// again by a new process, and no client loses a request.
//
//	go run ./examples/demo
//	go run ./examples/demo -ui
//
// It builds the Gin example and starts it on a free loopback port. Clients that never send a request twice
// post to it, and every second it gets SIGUSR2. Then the usual recipe has the same load: it passes the
// listener on and ends the old process with http.Server.Shutdown. The two run one after the other, so that
// neither takes the other's processors. A table at the end compares them, in Markdown.
//
// With -ui it prints the address of a page that shows the server of the Gin example, with buttons, and goes on until ^C
// unless -for says otherwise. The upgrades are further apart, each has another version, and the usual recipe is left out.
//
// The exit status is 1 if gracex lost a request or an upgrade failed, and 2 if nothing
// was measured: wrong flags, or a program that can't be built or started.
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

// errInterrupted is what a program ends with that was interrupted before it served.
var errInterrupted = errors.New("interrupted before there was anything to count")

// options are the command line.
type options struct {
	gracex, usual  time.Duration // how long each of the two runs
	every          time.Duration // from one upgrade to the next
	clients, fresh int
	think          time.Duration
	ui             bool
}

// With -ui these take the place of the usual values.
const (
	uiFor       = 24 * time.Hour
	uiEvery     = 12 * time.Second
	uiProbation = 4 * time.Second // time to press a button
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the command. It returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return exitNone
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// A terminal that closes sends SIGHUP.
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// SIGPIPE would end the demo when the reader of its output ends, as in "demo | head".
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	out := printer{stdout, cancel}
	entries, err := compare(ctx, opts, out)
	if len(entries) > 0 {
		out.printf("\n%s", table(entries, opts.clients))
	}
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return exitNone
	}
	return exitStatus(entries)
}

// exitStatus judges gracex, the first entry. A loss of the usual recipe is no failure.
func exitStatus(entries []entry) int {
	if e := entries[0]; e.result.Failed > 0 || len(e.failed) > 0 {
		return exitLost
	}
	return 0
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.gracex, "for", 20*time.Second, "how long gracex runs")
	flags.DurationVar(&o.usual, "usual", 10*time.Second, "how long the usual recipe runs; 0 is not at all")
	flags.DurationVar(&o.every, "every", time.Second, "time from one upgrade to the next")
	flags.IntVar(&o.clients, "clients", 32, "clients that keep their connection")
	flags.IntVar(&o.fresh, "fresh", 4, "clients that open a connection for each request")
	flags.DurationVar(&o.think, "think", 2*time.Millisecond, "how long a client waits between an answer and its next request")
	flags.BoolVar(&o.ui, "ui", false, "print the address of a page that shows the server, and go on until ^C")
	err := flags.Parse(args)
	if o.ui {
		given := make(map[string]bool)
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]struct {
			of   *time.Duration
			want time.Duration
		}{"for": {&o.gracex, uiFor}, "every": {&o.every, uiEvery}, "usual": {&o.usual, 0}} {
			if !given[name] {
				*value.of = value.want
			}
		}
	}
	switch {
	case err != nil:
		return o, err
	case upgradeSignal == 0:
		return o, fmt.Errorf("no upgrades on %s; run it on Linux or macOS", runtime.GOOS)
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.gracex <= 0 || o.usual < 0 || o.think < 0:
		return o, errors.New("-for must be more than 0, and -usual and -think not less than 0")
	case o.every < minEvery:
		return o, fmt.Errorf("-every must be %v or more", minEvery)
	case o.clients < 0 || o.fresh < 0 || o.clients+o.fresh == 0:
		return o, errors.New("-clients and -fresh must be 0 or more, and not both 0")
	}
	return o, nil
}

// compare builds the programs and runs one after the other. It returns the entries that
// it has, whatever the error.
func compare(ctx context.Context, opts options, out printer) (entries []entry, err error) {
	dir, err := os.MkdirTemp("", "gracex-demo-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	programs := []program{ginExample, usualRecipe}
	if opts.usual == 0 {
		programs = programs[:1]
	}
	if opts.ui {
		programs[0] = shownExample(dir)
	}
	for i := range programs {
		out.printf("building %s\n", programs[i].pkg)
		if err := programs[i].build(ctx, dir); err != nil {
			return nil, err
		}
	}
	out.printf("%d clients that keep their connection and %d that open one for each request post without retries;\none SIGUSR2 every %v; ^C ends it early\n",
		opts.clients, opts.fresh, opts.every)
	for i, lasting := range []time.Duration{opts.gracex, opts.usual}[:len(programs)] {
		e, err := try(ctx, programs[i], lasting, opts, out)
		if e != nil {
			entries = append(entries, *e)
		}
		if errors.Is(err, errInterrupted) && len(entries) > 0 {
			break
		}
		if err != nil {
			return entries, err
		}
	}
	return entries, nil
}

// printer writes what happens, and calls stop when nobody reads that any more.
type printer struct {
	w    io.Writer
	stop func()
}

func (p printer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); err != nil {
		p.stop()
	}
}
