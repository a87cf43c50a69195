//go:build unix

package core

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// resetHangup gives the programs under test the default SIGHUP even if this test
// is run under nohup: a signal that is caught here is reset by exec.
func resetHangup() {
	if signal.Ignored(syscall.SIGHUP) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
}

// app is a program under test with all its generations.
type app struct {
	t   testing.TB
	dir string // holds the program file "app" and whatever the test puts there
	cmd *exec.Cmd

	// For start, if a test sets them before.
	env   []string
	files []*os.File
	attr  *syscall.SysProcAttr

	mu     sync.Mutex
	events []event
	stderr bytes.Buffer
	moved  chan struct{} // closed and replaced when something was added
	pids   []int         // that said ready and did not end
	strays []int         // that the test knows of and the events don't
	waited bool          // the test has waited for cmd
	eof    chan struct{} // closed when every generation is gone
}

// install puts this test binary at path.
func install(t testing.TB, path string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	place(t, self, path)
}

// place puts a program at path: by a link, because a file that was just written can't be executed while
// another test forks (golang/go#22315).
func place(t testing.TB, program, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	if os.Link(program, path) == nil {
		return
	}
	b, err := os.ReadFile(program)
	must(t, err)
	must(t, writeProgram(path, string(b)))
}

// writeProgram writes a file that is going to be executed. No process is forked meanwhile, which would hold it
// open for writing until it has executed its own program: this one could not be executed then (golang/go#22315).
func writeProgram(path, text string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(path, []byte(text), 0o755)
}

// start starts a program of this test binary in a directory of its own, as
// "./app args...".
func start(t testing.TB, program string, args ...string) *app {
	t.Helper()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.start(program, "./app", args...)
	return a
}

func prepare(t testing.TB) *app {
	t.Helper()
	// Short: a unix socket's path has room for about 100 bytes.
	dir, err := os.MkdirTemp("", "gx")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &app{t: t, dir: dir, moved: make(chan struct{}), eof: make(chan struct{})}
}

// start starts argv0, looked up from the app's directory.
func (a *app) start(program, argv0 string, args ...string) {
	a.t.Helper()
	used.add(program)
	stdin, keep, err := os.Pipe()
	if err != nil {
		a.t.Fatal(err)
	}
	path := argv0
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.dir, path)
	}
	out, outw, err := os.Pipe()
	if err != nil {
		a.t.Fatal(err)
	}
	errr, errw, err := os.Pipe()
	if err != nil {
		a.t.Fatal(err)
	}
	// A test may have set more of it.
	env, extra, attr := a.env, a.files, a.attr
	a.cmd = &exec.Cmd{
		ExtraFiles: extra, SysProcAttr: attr,
		Path: path, Args: append([]string{argv0}, args...), Dir: a.dir,
		Env:   append(os.Environ(), append(env, envProgram+"="+program, "PWD="+a.dir)...),
		Stdin: stdin, Stdout: outw, Stderr: errw,
	}
	err = a.cmd.Start()
	for _, f := range []*os.File{stdin, outw, errw} {
		f.Close()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	go a.readEvents(out)
	go a.readStderr(errr)
	a.t.Cleanup(func() {
		keep.Close() // every generation that inherited stdin ends
		for _, pid := range append(a.alive(), a.strays...) {
			if a.owns(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if !a.wait(func() bool { return isClosed(a.eof) }) {
			a.t.Error("a generation did not end with its test")
		}
		if !a.waited {
			_ = a.cmd.Wait()
		}
		if a.t.Failed() {
			a.t.Logf("%v\n%s", a.all(), a.log())
		}
	})
}

func (a *app) readEvents(r io.ReadCloser) {
	defer r.Close()
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		var ev event
		if json.Unmarshal(sc.Bytes(), &ev) != nil {
			continue
		}
		a.change(func() {
			a.events = append(a.events, ev)
			switch ev.Event {
			case "ready":
				a.pids = append(a.pids, ev.PID)
			case "end":
				a.pids = slices.DeleteFunc(a.pids, func(p int) bool { return p == ev.PID })
			}
		})
	}
	a.change(func() { close(a.eof) })
}

func (a *app) readStderr(r io.ReadCloser) {
	defer r.Close()
	b := make([]byte, 4096)
	for {
		n, err := r.Read(b)
		if err != nil {
			return
		}
		a.change(func() { a.stderr.Write(b[:n]) })
	}
}

func (a *app) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	close(a.moved)
	a.moved = make(chan struct{})
}

// wait waits until cond holds, looking anew whenever something was heard.
func (a *app) wait(cond func() bool) bool {
	deadline := time.After(patience)
	for {
		a.mu.Lock()
		moved, ok := a.moved, cond()
		a.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-moved:
		case <-deadline:
			return false
		}
	}
}

func (a *app) all() []event {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events)
}

func (a *app) log() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stderr.String()
}

func (a *app) alive() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.pids)
}

// expect returns the n-th event of the kind, counted from 0.
func (a *app) expect(kind string, n int) event {
	a.t.Helper()
	var found event
	if !a.wait(func() bool {
		i := 0
		for _, ev := range a.events {
			if ev.Event == kind {
				if i == n {
					found = ev
					return true
				}
				i++
			}
		}
		return false
	}) {
		a.t.Fatalf("no %s event number %d: %v", kind, n, a.all())
	}
	return found
}

// expectLog waits until the log holds n lines with the text.
func (a *app) expectLog(text string, n int) {
	a.t.Helper()
	if !a.wait(func() bool { return strings.Count(a.stderr.String(), text) >= n }) {
		a.t.Fatalf("the log has not %d times %q", n, text)
	}
}

// expectGone waits until every generation has ended.
func (a *app) expectGone() {
	a.t.Helper()
	if !a.wait(func() bool { return isClosed(a.eof) }) {
		a.t.Fatalf("still there: %v", a.alive())
	}
}

// owns reports whether the process is one of the app's. The number of one that has ended may be another test's
// by now, which must not be killed for it.
func (a *app) owns(pid int) bool {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		return true // the system does not tell
	}
	b, _ := os.ReadFile(filepath.Join("/proc", itoa(pid), "environ"))
	return bytes.Contains(b, []byte("PWD="+a.dir+"\x00"))
}

func (a *app) signal(pid int, sig syscall.Signal) {
	a.t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		a.t.Fatal(err)
	}
}

// freeze stops a process and returns when it stands still, where the system says so.
func (a *app) freeze(pid int) {
	a.t.Helper()
	a.signal(pid, syscall.SIGSTOP)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
		if err != nil || bytes.Contains(b, []byte(") T ")) {
			return
		}
		if bytes.Contains(b, []byte(") Z ")) {
			a.t.Fatalf("process %d has ended before it could be stopped", pid)
		}
	}
	a.t.Fatalf("process %d does not stop", pid)
}

// awaitFile waits until the app has made the file.
func (a *app) awaitFile(name string) {
	a.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(a.dir, name)); err == nil {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("there is no file %q", name)
		}
	}
}

// beginUpgrade asks the app at addr to upgrade itself. giveUp is the end of the client, which gives the upgrade up.
func (a *app) beginUpgrade(addr string) (giveUp func()) {
	a.t.Helper()
	c := connect(a.t, addr)
	c.ask("/upgrade")
	return func() { c.Close() }
}

// upgrade asks the app at addr to upgrade itself and returns what Upgrade said.
func (a *app) upgrade(addr string) error {
	a.t.Helper()
	return errors.Join(a.call(addr, "/upgrade"))
}

func (a *app) call(addr, path string) error {
	a.t.Helper()
	body, err := get(addr, path)
	if err != nil {
		a.t.Fatalf("%s: %v", path, err)
	}
	if body == "" {
		return nil
	}
	return errors.New(body)
}

// get asks on a connection of its own.
func get(addr, path string) (string, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://app" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// getJSON decodes what path answers.
func getJSON[T any](t testing.TB, addr, path string) (v T) {
	t.Helper()
	body, err := get(addr, path)
	if err == nil {
		err = json.Unmarshal([]byte(body), &v)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return v
}

func itoa(n int) string { return strconv.Itoa(n) }

// occupied returns a TCP address that somebody listens on.
func occupied(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// setMode makes the next generation misbehave.
func (a *app) setMode(mode string) {
	a.t.Helper()
	must(a.t, os.WriteFile(filepath.Join(a.dir, "mode"), []byte(mode), 0o644))
}

// expectStats waits until the ledger of the process that accepts at addr is as cond
// wants it.
func expectStats(t testing.TB, addr string, cond func(Ledger) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		l := getJSON[Ledger](t, addr, "/stats")
		if cond(l) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("ledger %+v", l)
		}
		time.Sleep(time.Millisecond)
	}
}
