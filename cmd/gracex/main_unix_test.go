//go:build unix

package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// playEnv has this test binary play the command, or an app.
const playEnv = "GRACEX_TEST_PLAY"

func TestMain(m *testing.M) {
	proctest.Play(playEnv, func(name string) int {
		if name == "app" {
			return playApp()
		}
		main()
		return 0
	})
	proctest.Parallel(6)
	os.Exit(proctest.Main(m, "app", "gracex"))
}

// playApp is an app with a pid file in its directory. A file "mode" makes the generation
// that finds it misbehave.
func playApp() int {
	b, _ := os.ReadFile("mode")
	mode := strings.TrimSpace(string(b))
	switch mode {
	case "crash":
		fmt.Fprintln(os.Stderr, "no database")
		return 7
	case "hang":
		time.Sleep(proctest.Patience)
	}
	if mode == "crashlater" {
		go func() {
			for core.Status().State != core.StateCurrent {
				time.Sleep(time.Millisecond)
			}
			fmt.Fprintln(os.Stderr, "it is too late")
			os.Exit(9)
		}()
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d, err := time.ParseDuration(r.FormValue("d")); err == nil {
			time.Sleep(d)
		}
		fmt.Fprint(w, os.Getpid())
	})
	opts := []core.Option{
		core.WithPIDFile("app.pid"), core.WithVersion(cmp.Or(os.Getenv("APP_VERSION"), "v"+strconv.Itoa(len(b))) + strings.Join(os.Args[1:], "")),
		core.OnPreFork(func(context.Context) error {
			if v, err := os.ReadFile("veto"); err == nil {
				return fmt.Errorf("%s", v)
			}
			return nil
		}),
	}
	if also := os.Getenv("APP_ALSO"); also != "" { // beside the server with the name
		opts = append(opts, core.WithServerName("public"), core.AlsoServe(also, handler, core.Named("metrics")))
	}
	limit := func(file string, without time.Duration) time.Duration {
		if s, err := os.ReadFile(file); err == nil {
			without, _ = time.ParseDuration(string(s))
		}
		return without
	}
	opts = append(opts, core.WithProbation(limit("probation", time.Second)), core.WithReadyTimeout(limit("ready", core.DefaultReadyTimeout)))
	if err := core.ListenAndServe(os.Getenv("APP_ADDR"), handler, opts...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// site is a directory with an app in it, and a runtime directory of its own.
type site struct {
	t   *testing.T
	dir string
	app *proctest.Program

	vars     []string // of the environment, for a test to set
	searches bool     // commands name no app, and look for one; other apps of this machine are in the way
}

// newSite makes one without an app.
func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "gxc") // short: a socket's path has little room
	must.Do(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &site{t: t, dir: dir}
}

func (s *site) env(play string) []string {
	return append(slices.Concat(os.Environ(), []string{"APP_ADDR=127.0.0.1:0"}, s.vars), playEnv+"="+play, "XDG_RUNTIME_DIR="+s.dir, "PWD="+s.dir, "TERM=dumb", core.EnvMode+"=self")
}

// start starts the app, or a command line around it, and waits until it is in the pid file.
func (s *site) start(argv ...string) {
	s.t.Helper()
	self := must.Get(os.Executable())(s.t)
	must.Do(s.t, os.Symlink(self, filepath.Join(s.dir, "app")))
	play := "gracex"
	if len(argv) == 0 {
		argv, play = []string{filepath.Join(s.dir, "app")}, "app"
	}
	s.app = proctest.Start(s.t, &exec.Cmd{Path: self, Args: argv, Dir: s.dir, Env: s.env(play)})
	s.app.AwaitPID(filepath.Join(s.dir, "app.pid"), 0)
}

// pid is what the pid file says, 0 without one.
func (s *site) pid() int { return procgroup.ReadPIDFile(filepath.Join(s.dir, "app.pid")) }

func (s *site) write(name, text string) {
	s.t.Helper()
	must.Do(s.t, os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644))
}

// result is what a run of the command came to.
type result struct {
	code     int
	out, err string
}

// command is a command for the app in the directory, unless its arguments name another one.
func (s *site) command(args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	self, _ := os.Executable()
	names := func(arg string) bool {
		return strings.HasPrefix(arg, "--pid") || strings.HasPrefix(arg, "--socket") || arg == "--dir"
	}
	if !s.searches && !slices.ContainsFunc(args, names) &&
		slices.Contains([]string{"status", "ui", "upgrade", "rollback", "promote", "stop", "ledger", "totals", "events", "deploy", "back", "history", "recover", "hold", "follow", "check"}, args[0]) {
		args = slices.Insert(slices.Clone(args), 1, "--pid-file", "app.pid")
	}
	var out, errs bytes.Buffer
	return &exec.Cmd{
		Path: self, Args: append([]string{"gracex"}, args...), Dir: s.dir, Env: s.env("gracex"), Stdout: &out, Stderr: &errs,
	}, &out, &errs
}

// gracex runs the command.
func (s *site) gracex(args ...string) result {
	s.t.Helper()
	c, out, errs := s.command(args...)
	_ = c.Run()
	return result{c.ProcessState.ExitCode(), out.String(), errs.String()}
}

// expect runs the command and looks at its exit status and for texts on its output.
func (s *site) expect(code int, texts []string, args ...string) result {
	s.t.Helper()
	r := s.gracex(args...)
	if r.code != code {
		s.t.Errorf("gracex %q: exit status %d, want %d", args, r.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			s.t.Errorf("gracex %q says nothing of %q", args, text)
		}
	}
	if s.t.Failed() {
		s.t.Logf("%s%s", r.out, r.err)
	}
	return r
}
