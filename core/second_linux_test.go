package core_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/pidfile"
	"github.com/gracex-go/gracex/core/internal/proc"
	"github.com/gracex-go/gracex/internal/proctest"
)

func init() {
	programs["stays"] = func() {
		emit(event{Event: "stays"})
		select {}
	}
	programs["looks"] = func() {
		emit(event{Event: "looked", Err: fmt.Sprint(core.LookForFirst(os.Args[1], proctest.Patience, slog.New(slog.DiscardHandler)))})
	}
}

// otherProgram is a process that runs another program.
func otherProgram(t *testing.T) int {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// TestSecondInstance_LooksForTheProcess that the file names: no other one is in the way.
func TestSecondInstance_LooksForTheProcess(t *testing.T) {
	t.Parallel()
	child := func(t *testing.T, a *app) int {
		self, err := os.Executable()
		must(t, err)
		a.start("stays", self)
		a.expect("stays", 0)
		return a.cmd.Process.Pid
	}
	for name, tt := range map[string]struct {
		pid      func(t *testing.T) int
		released bool // the process that the file names does not serve
		refused  bool
	}{
		"serves": {pid: func(t *testing.T) int { return child(t, prepare(t)) }, refused: true},
		"drains": {pid: func(t *testing.T) int { return child(t, prepare(t)) }, released: true},
		"another user's": {pid: func(t *testing.T) int {
			if os.Getuid() != 0 {
				t.Skip("only root can start a process of another user")
			}
			a := prepare(t)
			unprivileged(t, a)
			install(t, a.path("app"))
			self, err := os.Executable()
			must(t, err)
			a.argv0 = self
			a.start("stays", "./app")
			a.expect("stays", 0)
			return a.cmd.Process.Pid
		}},
		"the parent":      {pid: func(*testing.T) int { return os.Getpid() }},
		"another program": {pid: otherProgram},
		"a zombie": {pid: func(t *testing.T) int {
			pid := otherProgram(t)
			p, err := os.FindProcess(pid)
			must(t, err)
			must(t, p.Kill())
			proctest.Await(t, "it is a zombie", func() bool { return proc.Zombie(pid) })
			return pid
		}},
		"in another pid namespace": {pid: func(t *testing.T) int {
			a := prepare(t)
			inNamespaces(t, a, syscall.CLONE_NEWPID)
			return child(t, a)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "app.pid")
			f, err := pidfile.Prepare(path, tt.pid(t))
			must(t, err)
			must(t, f.Commit())
			t.Cleanup(f.Release)
			if tt.released {
				f.Release()
			}
			b := prepare(t)
			self, err := os.Executable()
			must(t, err)
			b.start("looks", self, path)
			if got := b.expect("looked", 0).Err; (got != "<nil>") != tt.refused {
				t.Errorf("a look says %s", got)
			}
			b.expectGone()
		})
	}
}

// TestSecondInstance_HangingOneIsNamed: a process that does not answer is not taken for a file system that does not.
func TestSecondInstance_HangingOneIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.pid")
	pid := otherProgram(t)
	must(t, pidfile.Write(path, pid))
	socket := control.DefaultPath(path)
	must(t, os.MkdirAll(filepath.Dir(socket), 0o700))
	ln, err := net.Listen("unix", socket) // nobody accepts
	must(t, err)
	defer ln.Close()
	var log bytes.Buffer
	if err := core.LookForFirst(path, time.Millisecond, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Error(err)
	}
	expectText(t, log.String(), "because the process that it names has not answered", "path="+path, fmt.Sprintf("pid=%d", pid))
}
