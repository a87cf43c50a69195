package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// What stands in arguments for what differs from cell to cell.
const (
	portWord = "{port}"
	dirWord  = "{dir}"
)

// defaultBound is longer than the drain timeout that a program has by default, and
// the time after which an old process is killed by the new one.
const defaultBound = 60 * time.Second

// errUsage: the command line is wrong, and that was said.
var errUsage = errors.New("usage")

// options is the command line.
type options struct {
	url      string
	pidFile  string
	signal   syscall.Signal
	cells    *regexp.Regexp
	short    bool
	race     bool
	verbose  bool
	markdown bool
	parallel int
	times    int
	bound    time.Duration
	program  []string // the path and its arguments; empty: the kit's own server
	own      bool     // it is the kit's own server
}

const usage = `usage: faultkit [flags] [program arguments...]

Upgrades the program under load with faults injected. Without one it is the kit's
own server. In the program's arguments, and in -url and -pidfile, {port} is a free
port and {dir} a fresh directory, others for each cell.

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
	f.BoolVar(&o.short, "short", false, "only some of the cells, for a test")
	f.BoolVar(&o.race, "race", false, "build the kit's own server with the race detector")
	f.BoolVar(&o.verbose, "v", false, "print what the programs of failed cells wrote")
	f.BoolVar(&o.markdown, "markdown", false, "print the matrix as a markdown table")
	f.IntVar(&o.parallel, "parallel", 2, "how many cells to try at a time; 1 if the program has no {port}")
	f.IntVar(&o.times, "times", 1, "how often to try each cell")
	f.DurationVar(&o.bound, "bound", defaultBound, "how long each thing may take that is waited for; longer than the drain timeout")
	f.Func("signal", "the `name` of the signal for an upgrade: HUP, USR1 or USR2 (default USR2)", func(s string) error {
		sig, ok := signals[strings.TrimPrefix(s, "SIG")]
		if !ok {
			return errors.New("not one of HUP, USR1, USR2")
		}
		o.signal = sig
		return nil
	})
	f.Func("run", "only the cells whose name, 'step/fault', matches the `regexp`", func(s string) (err error) {
		o.cells, err = regexp.Compile(s)
		return err
	})
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil, err
	}
	if err != nil {
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
	if o.bound <= 0 {
		return fmt.Errorf("-bound %v: it has to be more than nothing", o.bound)
	}
	if len(o.program) == 0 {
		if o.url != "" {
			return errors.New("-url without a program: name the program behind the flags")
		}
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
	if _, err := newTarget(o.url); err != nil {
		return err
	}
	if !strings.Contains(strings.Join(o.program[1:], " "), portWord) {
		o.parallel = 1
	}
	return nil
}

// useOwnServer builds the kit's own server and makes it the program.
func (o *options) useOwnServer(ctx context.Context) (remove func(), err error) {
	dir, err := os.MkdirTemp("", "faultkit")
	if err != nil {
		return nil, err
	}
	path, err := buildServer(ctx, dir, o.race)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	o.own = true
	o.url, o.pidFile = "http://127.0.0.1:"+portWord+"/", dirWord+"/"+runDir+"/app.pid"
	o.program = []string{path, "-addr", "127.0.0.1:" + portWord, "-pidfile", o.pidFile}
	return func() { _ = os.RemoveAll(dir) }, nil
}
