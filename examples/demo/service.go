package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

const (
	startTimeout = 15 * time.Second
	endTimeout   = 3 * time.Second
	poll         = 5 * time.Millisecond
)

// program is a server that can be upgraded. It has the flags -addr, -pidfile and
// -drain, echoes a request's body and names its process in X-Pid.
type program struct {
	name string   // in the table
	pkg  string   // what go build gets
	args []string // beside the flags that both have
	path string   // the file, once it is built

	versions, control string // the file with the version of the next process, and the control socket; empty: it is not shown
}

var (
	// The default probation is longer than the time between two upgrades.
	ginExample  = program{name: "gracex", pkg: "github.com/gracex-go/gracex/examples/gin", args: []string{"-probation", "300ms"}}
	usualRecipe = program{name: "usual recipe", pkg: "github.com/gracex-go/gracex/core/testdata/plain"}
)

// build compiles the program into dir.
func (p *program) build(ctx context.Context, dir string) error {
	p.path = filepath.Join(dir, path.Base(p.pkg))
	out, err := exec.CommandContext(ctx, "go", "build", "-o", p.path, p.pkg).CombinedOutput()
	if ctx.Err() != nil {
		return errInterrupted
	}
	if err != nil {
		return fmt.Errorf("can't build %s: %w\n%s\nRun the demo inside a clone of the repository: go run ./examples/demo",
			p.pkg, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// service is a program that runs, in all its generations. They share a process group of
// their own, so that ^C in the terminal reaches the demo alone.
type service struct {
	*procgroup.Process
	addr    string
	pidfile string
}

// start runs the program on a free loopback port and returns when it serves.
func start(ctx context.Context, p program) (*service, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port for %s: %w", p.name, err)
	}
	ln.Close()
	s := &service{addr: ln.Addr().String(), pidfile: p.path + ".pid"}
	cmd := exec.Command(p.path, append([]string{"-addr", s.addr, "-pidfile", s.pidfile, "-drain", "10s"}, p.args...)...)
	// The pid file is to name the process that serves, and not the one that this program waits for.
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Dir(p.path), core.EnvMode+"=self")
	if s.Process, err = procgroup.Start(cmd); err != nil {
		return nil, fmt.Errorf("can't start %s (%s): %w", p.name, p.pkg, err)
	}
	timeout := time.After(startTimeout)
	for s.pid() == 0 {
		select {
		case <-time.After(poll):
			continue
		case <-s.Ended():
			err = fmt.Errorf("%s (%s) did not start: %v; it wrote:\n%s", p.name, p.pkg, s.Cmd.ProcessState, s.wrote())
		case <-timeout:
			err = fmt.Errorf("%s (%s) did not serve on %s within %v; it wrote:\n%s", p.name, p.pkg, s.addr, startTimeout, s.wrote())
		case <-ctx.Done():
			err = errInterrupted
		}
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// end asks every generation to end, and ends those that do not.
func (s *service) end() error {
	pids := s.Live() // on Linux; elsewhere the pid file alone tells
	if pid := s.pid(); pid != 0 && !slices.Contains(pids, pid) {
		pids = append(pids, pid)
	}
	for _, pid := range pids {
		_ = s.Signal(pid, syscall.SIGTERM) // it may have ended
	}
	select {
	case <-s.Ended():
	case <-time.After(endTimeout):
	}
	return s.End(endTimeout)
}

// pid is the process that serves, by the pid file, or 0.
func (s *service) pid() int { return procgroup.ReadPIDFile(s.pidfile) }

// wrote returns the last lines that the generations wrote.
func (s *service) wrote() string {
	const lines = 10
	all := strings.Split(strings.TrimSpace(s.Log.String()), "\n")
	return "\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
}
