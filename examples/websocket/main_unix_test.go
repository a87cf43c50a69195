//go:build unix

package main

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	playEnv  = "GRACEX_EXAMPLE_TEST" // makes the test binary the example
	patience = 60 * time.Second
)

func TestMain(m *testing.M) {
	if os.Getenv(playEnv) != "" {
		go func() {
			// Its end is the end of the test, however that came about.
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(3)
		}()
		main()
		return
	}
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup. What is caught here has its default action in the example.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

// example is the running program.
type example struct {
	t       *testing.T
	cmd     *exec.Cmd
	addr    string
	pidfile string
	log     *os.File
	ended   chan struct{} // closed when its last process has
}

// start starts the example on a port that was free a moment ago; if somebody
// took it, on another.
func start(t *testing.T) *example {
	t.Helper()
	for range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		e := run(t, "-addr", ln.Addr().String())
		e.addr = ln.Addr().String()
		if e.poll(func() bool { return e.pid() != 0 }) {
			return e
		}
		if !strings.Contains(e.wrote(), "address already in use") {
			t.Fatal("the example did not start")
		}
	}
	t.Fatal("no port stays free")
	return nil
}

func run(t *testing.T, args ...string) *example {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := &example{t: t, pidfile: filepath.Join(dir, "pid"), ended: make(chan struct{})}
	if e.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	stdin, keep, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// Every generation holds the write end of this pipe, as its standard output.
	output, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	e.cmd = exec.Command(exe, append(args, "-pidfile", e.pidfile, "-drain", "40s")...)
	e.cmd.Env = append(os.Environ(), playEnv+"=1")
	e.cmd.Stdin, e.cmd.Stdout, e.cmd.Stderr = stdin, w, e.log
	err = e.cmd.Start()
	stdin.Close()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.ended)
		_, _ = io.Copy(io.Discard, output)
		_ = e.cmd.Wait()
	}()
	t.Cleanup(func() {
		keep.Close()
		<-e.ended
		output.Close()
		e.log.Close()
		if log := e.wrote(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Error("a process has complained")
		}
		if t.Failed() {
			t.Log(e.wrote())
		}
	})
	return e
}

func (e *example) wrote() string {
	b, err := os.ReadFile(e.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// poll reports whether f did, before the example ended.
func (e *example) poll(f func() bool) bool {
	e.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-e.ended:
			return false
		case <-late:
			e.t.Fatalf("nothing in %v", patience)
		}
	}
	return true
}

// pid is the current generation's, 0 without a file.
func (e *example) pid() int {
	b, err := os.ReadFile(e.pidfile)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// upgrade returns when the next generation is current. Clients may still be on
// their way to it.
func (e *example) upgrade(sig syscall.Signal) {
	e.t.Helper()
	old := e.pid()
	if err := syscall.Kill(old, sig); err != nil {
		e.t.Fatal(err)
	}
	if !e.poll(func() bool { return e.pid() != old }) {
		e.t.Fatal("it has ended")
	}
}

// stop returns when the last process has ended.
func (e *example) stop() {
	e.t.Helper()
	if err := syscall.Kill(e.pid(), syscall.SIGTERM); err != nil {
		e.t.Fatal(err)
	}
	select {
	case <-e.ended:
	case <-time.After(patience):
		e.t.Fatal("it does not stop")
	}
	if code := e.cmd.ProcessState.ExitCode(); code != 0 {
		e.t.Errorf("generation 0 ended with status %d", code)
	}
	if _, err := os.Stat(e.pidfile); !errors.Is(err, os.ErrNotExist) {
		e.t.Errorf("the pid file is still there: %v", err)
	}
}

func TestErrorEndsWithStatus1(t *testing.T) {
	t.Parallel()
	e := run(t, "-addr", "127.0.0.1:nonsense")
	<-e.ended
	if code := e.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("status %d, want 1", code)
	}
	if !strings.Contains("\n"+e.wrote(), "\nwebsocket: gracex: listen tcp 127.0.0.1:nonsense: ") {
		t.Error("no such message on standard error")
	}
}
