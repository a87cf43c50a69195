//go:build unix

package exampletest

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// Patience bounds every wait. Nothing that works comes near it.
const Patience = proctest.Patience

// Program is a running program in all its generations.
type Program struct {
	*proctest.Program
	Addr string // where it listens, of one that Start or StartFile started

	t       *testing.T
	pidfile string
}

// Start starts the example that the test binary plays, and returns when it serves.
// args come behind the flags that every example has.
func Start(t *testing.T, args ...string) *Program {
	t.Helper()
	exe := must.Get(os.Executable())(t)
	return startExample(t, exe, args...)
}

// startExample is Start for the example in file.
func startExample(t *testing.T, file string, args ...string) *Program {
	t.Helper()
	return StartFile(t, file, func(addr, pidfile string) []string {
		return append(flags(addr, pidfile), args...)
	})
}

// StartFile is Start for any program that keeps a pid file. It is started by the file's path.
func StartFile(t *testing.T, file string, args func(addr, pidfile string) []string) *Program {
	t.Helper()
	addr := proctest.FreeAddr(t)
	p := run(t, file, func(pidfile string) []string { return args(addr, pidfile) })
	p.Addr = addr
	p.AwaitPID(p.pidfile, 0)
	return p
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
	p := &Program{t: t, pidfile: filepath.Join(dir, "pid")}
	cmd := exec.Command(file, args(p.pidfile)...)
	cmd.Env = append(os.Environ(), playEnv+"=1", "XDG_RUNTIME_DIR="+dir)
	t.Cleanup(func() {
		if p.Program != nil && p.Log.Count("DATA RACE")+p.Log.Count("panic:") > 0 {
			t.Errorf("a process has complained:\n%s", p.Log)
		}
	})
	p.Program = proctest.Start(t, cmd)
	return p
}

// AwaitLoad waits until the current generation has answered a client of each run.
func (p *Program) AwaitLoad(runs ...*load.Run) {
	p.t.Helper()
	pid := strconv.Itoa(p.PID())
	for _, run := range runs {
		p.Await("process "+pid+" answers a client", func() bool {
			for by := range run.Snapshot().Served {
				if by.PID == pid {
					return true
				}
			}
			return false
		})
	}
}

// Repeat calls f again and again in a goroutine of the group, until f fails or stop is closed.
func Repeat(t *testing.T, group *sync.WaitGroup, stop <-chan struct{}, f func() error) {
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := f(); err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// PID is the current generation's, 0 without a pid file or with one that a program
// without gracex is about to write.
func (p *Program) PID() int { return procgroup.ReadPIDFile(p.pidfile) }

// Signal sends sig to the current generation.
func (p *Program) Signal(sig syscall.Signal) {
	p.t.Helper()
	p.Program.Signal(p.PID(), sig)
}

// Upgrade returns when the next generation is current. Clients may still be on their way to it.
func (p *Program) Upgrade(sig syscall.Signal) {
	p.t.Helper()
	old := p.PID()
	p.Signal(sig)
	p.AwaitPID(p.pidfile, old)
}

// Stop sends SIGTERM and checks the end.
func (p *Program) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	p.End()
}

// End waits until the last process has ended, and checks that they went well and left no pid file.
func (p *Program) End() {
	p.t.Helper()
	p.ends(0)
	if _, err := os.Stat(p.pidfile); !errors.Is(err, os.ErrNotExist) {
		p.t.Errorf("the pid file is still there: %v", err)
	}
}

// ends waits until the last process has ended, and checks the status of generation
// 0: the others are no children of the test's.
func (p *Program) ends(status int) {
	p.t.Helper()
	if code := p.AwaitEnd(); code != status {
		p.t.Errorf("generation 0 ended with status %d, want %d", code, status)
	}
}

// Ask asks over a connection of its own, and returns when the program has closed it:
// nothing of it is left to be drained then.
func (p *Program) Ask(method, target, body string) load.Answer {
	p.t.Helper()
	return must.Get(load.Ask(load.Config{Addr: p.Addr, Method: method, Path: target, Timeout: Patience}, body))(p.t)
}

// Hold posts body to target and returns when the program has read it. The answer is
// waited for by the function that it returns.
func (p *Program) Hold(target, body string) (answer func() (load.Answer, error)) {
	p.t.Helper()
	cfg := load.Config{Addr: p.Addr, Method: http.MethodPost, Path: target, Timeout: Patience}
	return must.Get(load.Hold(cfg, body))(p.t)
}
