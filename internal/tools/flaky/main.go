// Command flaky runs the tests again and again, each round in one of several modes,
// and keeps the output of each round that failed: a test that fails once in a
// thousand runs hides a fault that a user meets once in a thousand upgrades.
//
//	go run ./internal/tools/flaky -for 20
//	go run ./internal/tools/flaky -for 2h -modes busy,race -- -run TestRollback ./core
//
// What comes behind the flags is for "go test"; it is "work", every module, if
// nothing does. The modes take turns:
//
//   - plain: nothing else than the tests.
//   - busy: beside a process for each core that does nothing but compute.
//   - one: with GOMAXPROCS=1, in the programs under test too.
//   - race: under the race detector.
//   - shuffle: in a random order, which the output names.
//
// At the end there is a table of the modes. The exit status is 1 if a round failed, 2 for
// wrong arguments.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	rounds  int           // how many; 0 is as many as begin within lasting
	lasting time.Duration // how long rounds begin; 0 is as long as it takes
	modes   []mode
	dir     string // for the output of rounds that failed; empty is a new one
	goCmd   string
	timeout time.Duration // of each package
	args    []string      // for go test
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == computeArg {
		compute()
		return
	}
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "flaky:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err = run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "flaky:", err)
		os.Exit(1)
	}
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("flaky", flag.ContinueOnError)
	flags.SetOutput(out)
	limit := flags.String("for", strconv.Itoa(len(modes)), "how many `rounds`, or for how long, as in 2h")
	names := flags.String("modes", modeNames(), "the modes, separated by commas")
	flags.StringVar(&o.dir, "dir", "", "the `directory` for the output of rounds that fail; a new temporary one if left out")
	flags.StringVar(&o.goCmd, "go", "go", "the go `command`")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Minute, "for the tests of one package, in one round")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.args = flags.Args(); len(o.args) == 0 {
		o.args = []string{"work"}
	}
	var err error
	if o.rounds, err = strconv.Atoi(*limit); err != nil {
		o.lasting, err = time.ParseDuration(*limit)
	}
	if err != nil || o.rounds < 0 || o.rounds == 0 && o.lasting <= 0 {
		return o, fmt.Errorf("-for %s is neither a number of rounds nor a duration; 20 and 2h are", *limit)
	}
	for name := range strings.SplitSeq(*names, ",") {
		i := slices.IndexFunc(modes, func(m mode) bool { return m.name == name })
		if i < 0 {
			return o, fmt.Errorf("-modes: there is no %q; there are %s", name, modeNames())
		}
		o.modes = append(o.modes, modes[i])
	}
	return o, nil
}

// run runs the rounds, says how each went, and ends with the table.
func run(ctx context.Context, o options, out io.Writer) error {
	dir := o.dir
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "flaky-")
	} else {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		return err
	}
	began, failed, done := time.Now(), 0, 0
	tallies := make([]tally, len(o.modes))
	for n := 1; o.more(n, began) && ctx.Err() == nil; n++ {
		i := (n - 1) % len(o.modes)
		m := o.modes[i]
		r, err := o.round(ctx, m)
		if ctx.Err() != nil {
			fmt.Fprintf(out, "round %d, %s: interrupted, and not counted\n", n, m.name)
			break
		}
		if err != nil {
			return fmt.Errorf("round %d, %s: %w", n, m.name, err)
		}
		done++
		tallies[i].add(r)
		if !r.failed {
			fmt.Fprintf(out, "round %d, %s: ok in %v\n", n, m.name, r.took)
			continue
		}
		failed++
		file := filepath.Join(dir, fmt.Sprintf("%03d-%s.txt", n, m.name))
		if err := os.WriteFile(file, r.output, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "round %d, %s: FAILED in %v, %s\n", n, m.name, r.took, file)
		for _, line := range r.failures() {
			fmt.Fprintf(out, "\t%s\n", line)
		}
	}
	table(out, o.modes, tallies)
	if failed > 0 {
		return fmt.Errorf("%d of %d rounds failed; their output is in %s", failed, done, dir)
	}
	if o.dir == "" {
		_ = os.Remove(dir) // nothing is in it
	}
	return nil
}

// more reports whether the n-th round is to begin.
func (o options) more(n int, began time.Time) bool {
	if o.rounds > 0 {
		return n <= o.rounds
	}
	return time.Since(began) < o.lasting
}
