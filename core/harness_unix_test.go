//go:build unix

package core_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// app is a program under test with all its generations.
type app struct {
	*proctest.Program // of start

	t   testing.TB
	dir string // holds the program file "app" and whatever the test puts there
	cmd *exec.Cmd

	// For start, if a test sets them before.
	env    []string
	argv0  string // what the program is told to be called; empty: its path
	files  []*os.File
	stderr *os.File // instead of Log
	cwd    string   // without $PWD, as a service manager sets it; empty: dir, with $PWD
	attr   *syscall.SysProcAttr

	out    *procgroup.Output // standard output, which every generation has
	events *proctest.Events[event]
}

var (
	install      = proctest.Install
	writeProgram = proctest.WriteProgram
	occupied     = proctest.Occupied
)

// start starts a program of this test binary in a directory of its own, as
// "./app args...".
func start(t testing.TB, program string, args ...string) *app {
	t.Helper()
	a := installed(t)
	a.start(program, "./app", args...)
	return a
}

// installed returns an app that is not started yet, with its program file.
func installed(t testing.TB) *app {
	t.Helper()
	a := prepare(t)
	install(t, a.path("app"))
	return a
}

// prepare returns an app whose directory is empty.
func prepare(t testing.TB) *app {
	t.Helper()
	// Short: a unix socket's path has room for about 100 bytes.
	dir, err := os.MkdirTemp("", "gx")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &app{t: t, dir: dir}
}

// path is that of a file beside the program file.
func (a *app) path(name string) string { return filepath.Join(a.dir, name) }

// write writes such a file.
func (a *app) write(name, text string) {
	a.t.Helper()
	must(a.t, os.WriteFile(a.path(name), []byte(text), 0o644))
}

// start starts argv0, looked up from the app's directory.
func (a *app) start(program, argv0 string, args ...string) {
	a.t.Helper()
	path := argv0
	if !filepath.IsAbs(path) {
		path = filepath.Join(cmp.Or(a.cwd, a.dir), path)
	}
	a.out = new(procgroup.Output)
	a.events = proctest.NewEvents(a.out, func(line string) (ev event, ok bool) {
		return ev, json.Unmarshal([]byte(line), &ev) == nil
	})
	a.cmd = &exec.Cmd{
		ExtraFiles: a.files, SysProcAttr: a.attr, Stdout: a.out,
		Path: path, Args: append([]string{cmp.Or(a.argv0, argv0)}, args...), Dir: a.dir,
		Env: slices.Concat(os.Environ(), a.env, []string{envProgram + "=" + program, "PWD=" + a.dir}),
	}
	if a.cwd != "" {
		a.cmd.Dir = a.cwd
		a.cmd.Env = slices.DeleteFunc(a.cmd.Env, func(s string) bool { return strings.HasPrefix(s, "PWD=") })
	}
	a.t.Cleanup(func() {
		if a.t.Failed() {
			a.t.Logf("%v", a.all())
		}
	})
	if a.stderr != nil {
		a.cmd.Stderr = a.stderr
	}
	a.Program = proctest.Start(a.t, a.cmd)
}

func (a *app) all() []event { return a.events.All() }
func (a *app) log() string  { return a.Log.String() }

// alive lists the processes that said ready and did not end.
func (a *app) alive() (pids []int) {
	for _, ev := range a.all() {
		switch ev.Event {
		case "ready":
			pids = append(pids, ev.PID)
		case "end":
			pids = slices.DeleteFunc(pids, func(p int) bool { return p == ev.PID })
		}
	}
	return pids
}

// expect returns the n-th event of the kind, counted from 0.
func (a *app) expect(kind string, n int) event {
	a.t.Helper()
	var found []event
	if !a.Until(func() bool {
		found = a.of(kind)
		return len(found) > n
	}) {
		all := a.all()
		a.Dump()
		a.t.Fatalf("no %s event number %d: %v", kind, n, all)
	}
	return found[n]
}

// of returns the events of the kind so far.
func (a *app) of(kind string) []event {
	return a.events.Where(func(ev event) bool { return ev.Event == kind })
}

// endsWell returns the n-th end of a process, which is to be one without an error.
func (a *app) endsWell(n int) event {
	a.t.Helper()
	end := a.expect("end", n)
	if end.Err != "" {
		a.t.Errorf("process %d of generation %d ended with %s", end.PID, end.Gen, end.Err)
	}
	return end
}

// expectLog waits until the log holds n lines with the text.
func (a *app) expectLog(text string, n int) {
	a.t.Helper()
	a.AwaitLog(text, n)
}

// expectGone waits until every generation has ended.
func (a *app) expectGone() {
	a.t.Helper()
	if !a.Until(a.out.Closed) {
		a.t.Fatalf("still there: %v", a.alive())
	}
}

func (a *app) signal(pid int, sig syscall.Signal) {
	a.t.Helper()
	must(a.t, syscall.Kill(pid, sig))
}

// next upgrades the process by signal, and returns its next generation when that is ready.
func (a *app) next(old event) event {
	a.t.Helper()
	n := len(a.of("ready"))
	a.signal(old.PID, syscall.SIGUSR2)
	ev := a.expect("ready", n)
	if ev.Gen != old.Gen+1 {
		a.t.Errorf("generation %d comes after %d", ev.Gen, old.Gen)
	}
	return ev
}

// stopAll stops the process, and returns when every generation has ended.
func (a *app) stopAll(pid int) {
	a.t.Helper()
	a.signal(pid, syscall.SIGTERM)
	a.expectGone()
}

// freeze stops a process and returns when it stands still, where the system says so.
func (a *app) freeze(pid int) {
	a.t.Helper()
	a.Freeze(pid)
}

// awaitFile waits until the app has made the file.
func (a *app) awaitFile(name string) {
	a.t.Helper()
	proctest.Await(a.t, "there is a file "+name, func() bool {
		_, err := os.Stat(a.path(name))
		return err == nil
	})
}

// beginUpgrade asks the app at addr to upgrade itself. giveUp is the end of the client, which gives the upgrade up.
func (a *app) beginUpgrade(addr string) (giveUp func()) {
	a.t.Helper()
	c := rawhttp.Dial(a.t, addr)
	c.Ask("/upgrade")
	return func() { c.Close() }
}

// upgrade asks the app at addr to upgrade itself and returns what Upgrade said.
func (a *app) upgrade(addr string) error {
	a.t.Helper()
	return a.call(addr, "/upgrade")
}

// call returns the answer to path as an error, nil if it is empty.
func (a *app) call(addr, path string) error {
	a.t.Helper()
	body, err := get(addr, path)
	must(a.t, err)
	if body == "" {
		return nil
	}
	return errors.New(body)
}

// get asks on a connection of its own.
func get(addr, path string) (string, error) {
	cfg := load.Config{Addr: addr, Method: http.MethodGet, Path: path, Timeout: patience}
	if strings.HasPrefix(addr, "/") {
		cfg.Network = "unix"
	}
	a, err := load.Ask(cfg, "")
	return a.Body, err
}

// getJSON decodes what path answers.
func getJSON[T any](t testing.TB, addr, path string) (v T) {
	t.Helper()
	body, err := get(addr, path)
	if err == nil {
		err = json.Unmarshal([]byte(body), &v)
	}
	must(t, err)
	return v
}

func itoa(n int) string { return strconv.Itoa(n) }

// setMode makes the next generation misbehave.
func (a *app) setMode(mode string) {
	a.t.Helper()
	a.write("mode", mode)
}

// expectStats waits until the ledger of the process that accepts at addr is as cond
// wants it.
func expectStats(t testing.TB, addr string, cond func(core.Ledger) bool) {
	t.Helper()
	var l core.Ledger
	defer func() {
		if t.Failed() {
			t.Logf("ledger %+v", l)
		}
	}()
	proctest.Await(t, "the ledger is as expected", func() bool {
		l = getJSON[core.Ledger](t, addr, "/stats")
		return cond(l)
	})
}

// expectServes asks at addr, and the process pid is to answer.
func expectServes(t testing.TB, addr string, pid int) {
	t.Helper()
	if l := getJSON[core.Ledger](t, addr, "/stats"); l.PID != pid {
		t.Errorf("process %d serves, want %d", l.PID, pid)
	}
}

// awaitRefused waits until nobody listens at addr.
func awaitRefused(t *testing.T, addr string) {
	t.Helper()
	proctest.Await(t, addr+" refuses connections", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

// expectAnswers asks at each of the addresses.
func expectAnswers(t testing.TB, addrs ...string) {
	t.Helper()
	for _, addr := range addrs {
		if _, err := get(addr, "/"); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// expectLossless stops the load, no request of which is to have failed.
func expectLossless(t testing.TB, run *load.Run) load.Result {
	t.Helper()
	res := run.Stop()
	t.Log(res)
	if res.Failed != 0 || res.Requests == 0 {
		t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
	}
	return res
}
