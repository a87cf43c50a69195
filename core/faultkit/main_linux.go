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
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
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
		dir, err := os.MkdirTemp("", "faultkit")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if err := o.useOwnServer(ctx, dir); err != nil {
			return err
		}
	}
	switch {
	case o.soakFor > 0:
		return o.runSoak(ctx, out)
	case o.stormFor > 0:
		return o.runStorms(ctx, out)
	}
	m, err := o.tryAll(ctx, errOut)
	if err != nil {
		return err
	}
	m.print(out)
	return m.err()
}

// serverPackage is the kit's own server.
const serverPackage = "github.com/gracex-go/gracex/core/faultkit/server"

// useOwnServer builds the kit's own server into dir and makes it the program. In a module that has gracex among
// its requirements, or is it, "go build" knows the package. Anywhere else, after a "go run" of the kit at a version,
// it is installed at that version.
func (o *options) useOwnServer(ctx context.Context, dir string) error {
	o.own = true
	o.url, o.pidFile = "http://127.0.0.1:"+portWord+"/", dirWord+"/"+runDir+"/app.pid"
	o.program = []string{filepath.Join(dir, "server"), "-addr", "127.0.0.1:" + portWord, "-pidfile", o.pidFile}
	err := o.goCommand(ctx, dir, serverPackage, "build", "-o", o.program[0])
	if err == nil {
		return nil
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return fmt.Errorf("%w; run the kit in a clone of its repository, or give it a program", err)
	}
	return o.goCommand(ctx, dir, serverPackage+"@"+info.Main.Version, "install")
}

func (o *options) goCommand(ctx context.Context, dir, pkg string, args ...string) error {
	if o.race {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(cmd.Environ(), "GOBIN="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the kit's own server: %v: %w: %s", cmd, err, bytes.TrimSpace(out))
	}
	return nil
}

// What stands in arguments for what differs from cell to cell.
const (
	portWord = "{port}"
	dirWord  = "{dir}"
)

// errUsage: the command line is wrong, and that was said.
var errUsage = errors.New("usage")

// options is the command line.
type options struct {
	url, pidFile    string
	signal          syscall.Signal
	cells           *regexp.Regexp // nil: all
	short, race     bool
	parallel, times int
	bound           time.Duration
	program         []string // the path and its arguments; empty: the kit's own server
	own             bool     // it is the kit's own server

	soakFor, stormFor time.Duration // 0: one cell after the other
	seed              uint64        // of a soak or a storm; 0: chosen
	log               string        // of its servers; empty: a temporary file
	breaks            []string      // how its server is broken
}

const usage = `usage: faultkit [flags] [program arguments...]

Upgrades the program under load with faults injected. Without one it is the kit's
own server. In the program's arguments, and in -url and -pidfile, {port} is a free
port and {dir} a fresh directory, others for each cell. With -soak the kit's own server
is upgraded at random moments under mixed load.

`

// signals are the ones that may mean an upgrade.
var signals = map[string]syscall.Signal{"HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}

func parse(args []string, out io.Writer) (*options, error) {
	o := &options{signal: syscall.SIGUSR2}
	f := flag.NewFlagSet("faultkit", flag.ContinueOnError)
	f.SetOutput(out)
	f.Usage = func() {
		fmt.Fprint(out, usage)
		f.PrintDefaults()
	}
	f.StringVar(&o.url, "url", "", "where the program answers a GET: any complete answer below 500 will do")
	f.StringVar(&o.pidFile, "pidfile", "", "the program's pid `file`; one in '{dir}/run/' has a full disk tried, too")
	f.BoolVar(&o.short, "short", false, "only some of the cells, for a test; in a soak fewer clients, and no upgrade that hangs")
	f.BoolVar(&o.race, "race", false, "build the kit's own server with the race detector")
	f.IntVar(&o.parallel, "parallel", 2, "how many cells to try at a time; 1 if the program has no {port}")
	f.IntVar(&o.times, "times", 1, "how often to try each cell")
	f.DurationVar(&o.bound, "bound", time.Minute, // longer than the default drain, and than an old process gets
		"how long each thing may take that is waited for; longer than the drain timeout")
	f.DurationVar(&o.soakFor, "soak", 0,
		"upgrade the kit's own server at random moments for so `long`, instead of trying cells")
	f.DurationVar(&o.stormFor, "storm", 0,
		"upgrade the kit's own server without a rest for so `long`, with kills and stops, and check each request's token")
	f.Uint64Var(&o.seed, "seed", 0, "of the random moments of a soak or a storm; 0 chooses one")
	f.StringVar(&o.log, "log", "", "`file` for what the servers of a soak log; if empty it is kept only when a check has failed")
	f.Func("break", "break the server of a soak, to see the checks fail: "+strings.Join(own.Breaks, ", "),
		func(s string) error {
			o.breaks = strings.Split(s, ",")
			for _, name := range o.breaks {
				if !slices.Contains(own.Breaks, name) {
					return fmt.Errorf("no break is called %q", name)
				}
			}
			return nil
		})
	f.Func("signal", "the `name` of the signal for an upgrade: HUP, USR1 or USR2 (default USR2)", func(s string) (err error) {
		if o.signal = signals[strings.TrimPrefix(s, "SIG")]; o.signal == 0 {
			err = errors.New("not one of HUP, USR1, USR2")
		}
		return err
	})
	f.Func("run", "only the cells whose name, 'step/fault', matches the `regexp`, or the storms by theirs", func(s string) (err error) {
		o.cells, err = regexp.Compile(s)
		return err
	})
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, err
	case err != nil:
		return nil, errUsage // the flag package has said it
	}
	o.program = f.Args()
	if err := o.complete(); err != nil {
		fmt.Fprintln(out, "faultkit:", err)
		return nil, errUsage
	}
	return o, nil
}

// complete checks what can be checked before anything is started.
func (o *options) complete() error {
	switch {
	case o.bound <= 0:
		return fmt.Errorf("-bound %v: it has to be more than nothing", o.bound)
	case o.soakFor < 0 || o.soakFor > 0 && len(o.program) > 0:
		return fmt.Errorf("-soak %v: for some time, and without a program", o.soakFor)
	case o.stormFor < 0 || o.stormFor > 0 && (len(o.program) > 0 || o.soakFor > 0):
		return fmt.Errorf("-storm %v: for some time, without a program, and not in a soak", o.stormFor)
	case len(o.program) == 0 && o.url != "":
		return errors.New("-url without a program: name the program behind the flags")
	case len(o.program) == 0:
		return nil
	}
	path, err := exec.LookPath(o.program[0])
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return fmt.Errorf("the program: %w; build it first, and give its path", err)
	}
	o.program[0] = path
	if o.url == "" {
		return errors.New("no -url: where does the program answer? (-url 'http://127.0.0.1:{port}/')")
	}
	if !strings.Contains(strings.Join(o.program[1:], " "), portWord) {
		o.parallel = 1
	}
	_, err = newTarget(o.url)
	return err
}
