// Command soak upgrades a server at random moments, for a long time and under
// mixed load, and fails if any client or any process noticed. "make soak" runs it.
//
// The program is its own server: it starts itself with -serve and signals
// whatever process the pid file names, SIGUSR2 or SIGHUP, once or several times
// in a row, after pauses of 20 ms to 2 s. Some upgrades fail on purpose: the new
// version exits at once, is never ready, or is refused by its own check.
//
// Meanwhile clients ask in every way that [load.Kinds] lists, as fast as they can
// or with pauses, over TCP, TLS and a unix socket; some pipeline, some have
// hijacked connections that move by core.Handoff, some ask only now and then.
// None of them repeats a request.
//
// What has to hold, or the exit status is 1:
//
//   - No request fails, and no byte of a hijacked connection is lost. No client
//     gets an answer from an older generation than the one before.
//   - Without TLS no client has to open a second connection. Over TLS, where
//     connections don't move, it has to only when its generation hands over.
//   - The servers log nothing above INFO that is not about a failure on purpose.
//   - Each generation has served exactly the requests that clients had answers
//     of, has cut and refused nothing, and has moved as many connections as the
//     next has adopted. Together they have accepted what clients have dialed.
//   - Memory and descriptors of a generation of a certain age do not grow over
//     the run. The last one, when nobody asks it any more, has the goroutines and
//     descriptors of the first one that nobody had asked yet.
//   - Old generations end, in time and with status 0, and leave no zombies.
//
// With -break the server has a fault, so that one can see the checks fail:
//
//	go run ./internal/tools/soak -for 20s -break reconnect,descriptor
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case err != nil:
		os.Exit(2) // the flag package has said why
	case o.serve != "":
		if err := serve(o); err != nil {
			os.Exit(1) // and the log
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends this process at once, and so its children
	err = run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(out)
	o.define(f)
	if err := f.Parse(args); err != nil {
		return o, err
	}
	err := o.complete()
	if err != nil {
		fmt.Fprintln(out, "soak:", err)
	}
	return o, err
}
