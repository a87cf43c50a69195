//go:build unix

package exampletest

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// Patience bounds every wait. Nothing that works comes near it.
const Patience = 60 * time.Second

// Program is a running program in all its generations.
type Program struct {
	Addr string // where it listens, of one that Start or StartFile started

	t       *testing.T
	cmd     *exec.Cmd
	pidfile string
	log     *os.File
	ended   chan struct{} // closed when the last process has
}

// Start starts the example that the test binary plays, and returns when it serves.
// args come behind the flags that every example has.
func Start(t *testing.T, args ...string) *Program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startExample(t, exe, args...)
}

// startExample is Start for the example in file.
func startExample(t *testing.T, file string, args ...string) *Program {
	t.Helper()
	return StartFile(t, file, func(addr, pidfile string) []string {
		return append(flags(addr, pidfile), args...)
	})
}

// StartFile is Start for any program that keeps a pid file. It is started by the
// file's path, on a port that was free a moment ago; if somebody took it, on
// another.
func StartFile(t *testing.T, file string, args func(addr, pidfile string) []string) *Program {
	t.Helper()
	for range 5 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		addr := ln.Addr().String()
		p := run(t, file, func(pidfile string) []string { return args(addr, pidfile) })
		p.Addr = addr
		if p.Poll(func() bool { return p.PID() != 0 }) {
			return p
		}
		if !strings.Contains(p.Log(), "address already in use") {
			t.Fatal("the program did not start")
		}
	}
	t.Fatal("no port stays free")
	return nil
}

// flags are what every example is started with. The drain takes longer than
// anything that is under way in a test, and less than Patience.
func flags(addr, pidfile string) []string {
	return []string{"-addr", addr, "-pidfile", pidfile, "-drain", "40s", "-probation", "0"}
}

// run does not wait for anything.
func run(t *testing.T, file string, args func(pidfile string) []string) *Program {
	t.Helper()
	dir := t.TempDir()
	p := &Program{t: t, pidfile: filepath.Join(dir, "pid"), ended: make(chan struct{})}
	var err error
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
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
	p.cmd = exec.Command(file, args(p.pidfile)...)
	p.cmd.Env = append(os.Environ(), playEnv+"=1", "XDG_RUNTIME_DIR="+dir)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, w, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = p.cmd.Start()
	stdin.Close()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_, _ = io.Copy(io.Discard, output)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() {
		select {
		case <-p.ended:
		default:
			// Generation 0 was not waited for, so the group's number is nobody else's.
			_ = syscall.Kill(-p.FirstPID(), syscall.SIGKILL)
			<-p.ended
		}
		keep.Close()
		output.Close()
		p.log.Close()
		if log := p.Log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic:") {
			t.Error("a process has complained")
		}
		if t.Failed() {
			t.Log(p.Log())
		}
	})
	return p
}

// Log is what all generations have written to standard error.
func (p *Program) Log() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Poll reports whether f did, before the last process ended.
func (p *Program) Poll(f func() bool) bool {
	p.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(Patience)
	for !f() {
		select {
		case <-tick.C:
		case <-p.ended:
			return false
		case <-late:
			p.t.Fatalf("nothing in %v", Patience)
		}
	}
	return true
}

// AwaitLog waits until the log has the words.
func (p *Program) AwaitLog(words string) {
	p.t.Helper()
	if !p.Poll(func() bool { return strings.Contains(p.Log(), words) }) {
		p.t.Fatalf("it has ended without logging %q", words)
	}
}

// AwaitLoad waits until the current generation has answered a client of each run.
func (p *Program) AwaitLoad(runs ...*load.Run) {
	p.t.Helper()
	pid := strconv.Itoa(p.PID())
	for _, run := range runs {
		answered := func() bool {
			for who := range run.Snapshot().Served {
				if who.PID == pid {
					return true
				}
			}
			return false
		}
		if !p.Poll(answered) {
			p.t.Fatal("it has ended")
		}
	}
}

// FirstPID is the process number of generation 0.
func (p *Program) FirstPID() int { return p.cmd.Process.Pid }

// PID is the current generation's, 0 without a pid file or with one that a program
// without gracex is about to write.
func (p *Program) PID() int {
	b, err := os.ReadFile(p.pidfile)
	if err != nil || len(b) == 0 {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// Signal sends sig to the current generation.
func (p *Program) Signal(sig syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(p.PID(), sig); err != nil {
		p.t.Fatal(err)
	}
}

// Upgrade returns when the next generation is current. Clients may still be on
// their way to it.
func (p *Program) Upgrade(sig syscall.Signal) {
	p.t.Helper()
	old := p.PID()
	p.Signal(sig)
	if !p.Poll(func() bool { pid := p.PID(); return pid != old && pid != 0 }) {
		p.t.Fatal("it has ended")
	}
}

// Stop sends SIGTERM and checks the end.
func (p *Program) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.End()
}

// End waits until the last process has ended, and checks that they went well and
// left no pid file.
func (p *Program) End() {
	p.t.Helper()
	p.wait(0)
	if _, err := os.Stat(p.pidfile); !errors.Is(err, os.ErrNotExist) {
		p.t.Errorf("the pid file is still there: %v", err)
	}
}

// wait waits until the last process has ended, and checks the status of generation
// 0: the others are no children of the test's.
func (p *Program) wait(status int) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(Patience):
		p.t.Fatal("it does not stop")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != status {
		p.t.Errorf("generation 0 ended with status %d, want %d", code, status)
	}
}
