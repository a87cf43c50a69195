package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

func main() {
	playRole()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends this process at once, and so its children
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // it has been said
	default:
		fmt.Fprintln(os.Stderr, "faultkit:", err)
		os.Exit(1)
	}
}

// playRole does not return if this process is not the kit.
func playRole() {
	if plan, ok := os.LookupEnv(envLaunch); ok {
		fmt.Fprintln(os.Stderr, "faultkit: launcher:", launch(plan))
		os.Exit(1)
	}
	if dir, ok := os.LookupEnv(envShim); ok {
		os.Exit(playShim(dir))
	}
}

// run is the kit's main.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if err := procgroup.AdoptOrphans(); err != nil {
		return err
	}
	if len(o.program) == 0 {
		remove, err := o.useOwnServer(ctx)
		if err != nil {
			return err
		}
		defer remove()
	}
	if o.soakFor > 0 {
		return o.runSoak(ctx, out)
	}
	m, err := o.tryAll(ctx, errOut)
	if err != nil {
		return err
	}
	if o.markdown {
		m.markdown(out)
	} else {
		m.text(out)
	}
	return m.err()
}
