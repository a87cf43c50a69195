package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/gracex-go/gracex/core/supervise"
	"github.com/gracex-go/gracex/release"
)

func newRun() *cobra.Command {
	var cfg supervise.Config
	var format, follow string
	follower := &followFlags{}
	c := &cobra.Command{
		Use:   "run [flags] -- program [arguments]",
		Short: "Run an app under one process number for life",
		Long: `Run an app as the worker of a supervisor that keeps its process number through upgrades and
crashes. Use it in a container, under supervisord, and wherever the number must not change.
The app only has to use gracex.

SIGHUP and SIGUSR2 upgrade, SIGUSR1 reopens logs, and SIGTERM, SIGINT and SIGQUIT stop. A
worker that crashes is replaced, and connections wait meanwhile. A second SIGTERM or Ctrl-C
cuts the requests that a stop waits for. The exit status is the app's.

With --follow the app is kept at the release that a source offers, as gracex follow does it. The
app is started as DIR/current/PROGRAM then, and has a control socket.`,
		Example: `  gracex run -- ./shop -addr :8080
  gracex run --max-failures -1 --log-format json -- ./shop
  gracex run --follow https://dl.example.org/shop/stable --name shop --key shop.pub -- /srv/shop/current/shop`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			log, err := logger(format, c.ErrOrStderr())
			if err != nil {
				return err
			}
			cfg.Argv, cfg.Log = args, log
			cfg.WentBack = func(bad, good string) error { return condemn(log, args[0], bad, good) }
			if follow != "" {
				b, err := follower.beside(c, follow, log)
				if err != nil {
					return err
				}
				ctx, stop := context.WithCancel(context.Background())
				ended := make(chan struct{})
				go func() { b.run(ctx); close(ended) }()
				defer func() { stop(); <-ended }()
			}
			defer sayHowToCut(log)()
			code, err := supervise.Run(cfg)
			if code == 0 && err == nil {
				return nil
			}
			if err != nil {
				return &exitError{code: code, err: err}
			}
			return &exitError{code: code, err: fmt.Errorf("%s ended with exit status %d", args[0], code), silent: true}
		},
	}
	f := c.Flags()
	f.SetInterspersed(false) // what follows the program is the program's
	f.IntVar(&cfg.MaxFailures, "max-failures", supervise.DefaultMaxFailures, "crashes in a row before the supervisor gives up; a negative number means never")
	f.DurationVar(&cfg.MinBackoff, "min-backoff", supervise.DefaultMinBackoff, "pause after the second crash in a row; it doubles with each further crash")
	f.DurationVar(&cfg.MaxBackoff, "max-backoff", supervise.DefaultMaxBackoff, "longest pause between two workers")
	f.DurationVar(&cfg.Soak, "soak", supervise.DefaultSoak, "how long a release is watched from the end of its probation on; a negative one is none")
	f.StringVar(&follow, "follow", "", "keep the app at the release that a `source` offers; see gracex follow")
	follower.add(c)
	f.StringVar(&format, "log-format", "text", "of the supervisor's log on stderr: text or json")
	return c
}

// condemn makes the good release before a bad one what the next start gets. The app was started by this name. A deploy
// that goes on has its time: it can be one that is about to replace the bad release.
func condemn(log *slog.Logger, name, bad, good string) error {
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return err
	}
	dir, program, err := release.Locate(path)
	if err != nil {
		return err
	}
	s, err := release.Open(dir, program)
	if errors.Is(err, release.ErrBusy) {
		log.Warn("the symlink current is switched back when the deploy is over", "release", good, "error", err)
		for ; errors.Is(err, release.ErrBusy); s, err = release.Open(dir, program) {
			time.Sleep(busyEvery)
		}
	}
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	if s.Current() != bad { // somebody has switched it
		return nil
	}
	_, err = s.Condemn(bad, good, "it has crashed again and again soon after its probation", nil)
	return err
}

// busyEvery is how often a store is asked for that a deploy has.
const busyEvery = time.Second

// sayHowToCut says what a stop that takes long waits for, until the returned function is called.
func sayHowToCut(log *slog.Logger) (end func()) {
	stops, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(stops, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-stops:
		case <-done:
			return
		}
		select {
		case <-time.After(stopSilence):
			log.Info("the app answers the requests that it has begun; another Ctrl-C, or SIGTERM, cuts them")
		case <-done:
		}
	}()
	return func() { signal.Stop(stops); close(done) }
}

// stopSilence is how long a stop can take without a word.
const stopSilence = 500 * time.Millisecond

func logger(format string, w io.Writer) (*slog.Logger, error) {
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, usagef("--log-format %q is neither text nor json", format)
}
