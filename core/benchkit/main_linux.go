package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second one ends this process at once, and so its servers
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2) // it has been said
	default:
		fmt.Fprintln(os.Stderr, "benchkit:", err)
		os.Exit(1)
	}
}

// run is the kit's main. Several goroutines write to errOut.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parse(args, errOut)
	if err != nil {
		return err
	}
	if o.build != "" {
		return buildServer(ctx, o.build)
	}
	if err := procgroup.AdoptOrphans(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "benchkit")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.server == "" {
		o.server = filepath.Join(dir, "server")
		if err := buildServer(ctx, o.server); err != nil {
			return err
		}
	}
	if o.pin {
		if err := pinKit(); err != nil {
			return err
		}
	}
	k := &kit{options: o, sizes: full, out: out, errOut: errOut, builds: []build{{name: "this", path: o.server}}}
	if o.short {
		k.sizes = short
	}
	if o.against != "" {
		k.builds = append(k.builds, build{name: "other", path: o.against})
	}
	return k.run(ctx)
}

// serverPackage is the kit's server.
const serverPackage = "github.com/gracex-go/gracex/core/benchkit/server"

// buildServer builds the kit's server to a file.
func buildServer(ctx context.Context, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, serverPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %v: %w: %s; run the kit in a clone of its repository", cmd, err, bytes.TrimSpace(out))
	}
	return nil
}

// sizes say how much is measured.
type sizes struct {
	steadyRounds, steadyRequests int // requests in a round, on all connections together
	bulkRequests                 int // likewise

	p99Idle              []int // connections
	p99Runs, p99Upgrades int   // upgrades in a run
	calm                 time.Duration

	moveConns  []int
	moveOthers int // connections that speak something else than HTTP/1 in the clear
	moveRounds int

	seriesConns                  []int
	listeners, inFlight          int
	seriesRounds, seriesUpgrades int // upgrades in a round
	rowLength                    int // upgrades in a row

	memoryConns, memoryRounds int
	settle                    time.Duration
}

var (
	full = sizes{
		steadyRounds: 60, steadyRequests: 8000, bulkRequests: 64,
		p99Idle: []int{0, 1000, 5000, 9000}, p99Runs: 3, p99Upgrades: 10, calm: 500 * time.Millisecond,
		moveConns: []int{1000, 5000, 10_000, 15_000}, moveOthers: 1000, moveRounds: 5,
		seriesConns: []int{0, 1000, 4000, 8000, 15_000}, listeners: 50, inFlight: 1000, seriesRounds: 3, seriesUpgrades: 3, rowLength: 100,
		memoryConns: 9000, memoryRounds: 3, settle: 3 * time.Second,
	}
	short = sizes{
		steadyRounds: 3, steadyRequests: 800, bulkRequests: 16,
		p99Idle: []int{0, 100}, p99Runs: 1, p99Upgrades: 2, calm: 50 * time.Millisecond,
		moveConns: []int{100}, moveOthers: 50, moveRounds: 1,
		seriesConns: []int{0, 100}, listeners: 5, inFlight: 20, seriesRounds: 1, seriesUpgrades: 2, rowLength: 4,
		memoryConns: 100, memoryRounds: 1, settle: 50 * time.Millisecond,
	}
)

// most is how many connections a cell has open at the most.
func (s sizes) most() int {
	return max(slices.Max(s.p99Idle)+steadyConns, slices.Max(s.moveConns), slices.Max(s.seriesConns)+1, s.memoryConns+1)
}

// kit is one run of the whole.
type kit struct {
	*options
	sizes
	builds      []build // to measure: this one, and the one that -against names
	limit       int     // of descriptors
	lost        losses
	out, errOut io.Writer
}

// run measures what was chosen. Its error says what was lost.
func (k *kit) run(ctx context.Context) (err error) {
	if k.limit, err = raiseLimit(cell{conns: k.most()}.descriptors()); err != nil {
		return err
	}
	fmt.Fprintf(k.out, "%s\n", machine(k.limit))
	for _, b := range k.builds {
		text, err := b.describe()
		if err != nil {
			return err
		}
		fmt.Fprintf(k.out, "%s\n", text)
	}
	for _, mode := range []func(context.Context) error{k.steady, k.p99, k.move, k.series, k.memory} {
		if err := mode(ctx); err != nil {
			return errors.Join(err, k.lost.err())
		}
	}
	return k.lost.err()
}

// chosen reports whether -run has chosen a cell.
func (k *kit) chosen(name string) bool { return k.cells == nil || k.cells.MatchString(name) }

// say says how it goes.
func (k *kit) say(format string, args ...any) { fmt.Fprintf(k.errOut, format+"\n", args...) }

// errUsage: the command line is wrong, and that was said.
var errUsage = errors.New("usage")

// options is the command line.
type options struct {
	command                string         // all of it
	cells                  *regexp.Regexp // nil: all
	short, parked, pin     bool
	rate                   int    // 0: measured
	build, server, against string // paths; empty: none
}

const usage = `usage: benchkit [flags]

Measures what gracex costs without an upgrade and around one, and prints tables in
Markdown. Its server is built from the module of the current directory.

`

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{command: "go run ./core/benchkit"}
	for _, arg := range args {
		o.command += " " + quote(arg)
	}
	f := flag.NewFlagSet("benchkit", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.PrintDefaults()
	}
	f.BoolVar(&o.short, "short", false, "only a little of each, for a test: the figures mean nothing")
	f.BoolVar(&o.parked, "parked", false, "ask idle connections once in the beginning, and not before each upgrade; those of p99 and series")
	f.BoolVar(&o.pin, "pin", false, "keep each server on one processor, and this process on another one")
	f.IntVar(&o.rate, "rate", 0, "requests a `second` in p99; 0 is a third of what the machine can do")
	f.StringVar(&o.build, "build", "", "build the server to this `file`, and do nothing else")
	f.StringVar(&o.server, "server", "", "measure this `file`, which -build has made, instead of building one")
	f.StringVar(&o.against, "against", "", "compare with this `file`, which -build has made from another version")
	f.Func("run", "only the cells whose name, 'steady' or 'mode/what', matches the `regexp`", func(s string) (err error) {
		o.cells, err = regexp.Compile(s)
		return err
	})
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, errUsage // the flag package has said it
	}
	if err := o.complete(f.Args()); err != nil {
		fmt.Fprintln(out, "benchkit:", err)
		return nil, errUsage
	}
	return o, nil
}

// complete checks what can be checked before anything is started.
func (o *options) complete(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("%q is no flag", rest[0])
	case o.rate < 0:
		return fmt.Errorf("-rate %d: it has to be 0 or more", o.rate)
	case o.build != "" && (o.server != "" || o.against != ""):
		return errors.New("-build does nothing else: give -server and -against another time")
	}
	for _, path := range []*string{&o.server, &o.against} {
		if *path == "" {
			continue
		}
		// The launch path of a server has to be one in another directory, too.
		abs, err := filepath.Abs(*path)
		if err == nil {
			_, err = os.Stat(abs)
		}
		if err != nil {
			return fmt.Errorf("%w: build it first, with -build", err)
		}
		*path = abs
	}
	return nil
}

// quote writes an argument as a shell reads it.
func quote(arg string) string {
	if regexp.MustCompile(`^[\w./=:,-]+$`).MatchString(arg) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
