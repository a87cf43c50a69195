package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
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
	addr    string
	pidfile string
	log     string        // the file with what the generations wrote to standard error
	cmd     *exec.Cmd     // generation 0, whose pid names the group
	ended   chan struct{} // closed when the last process has ended
}

// start runs the program on a free loopback port and returns when it serves.
func start(ctx context.Context, p program) (*service, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port for %s: %w", p.name, err)
	}
	ln.Close()
	s := &service{addr: ln.Addr().String(), pidfile: p.path + ".pid", log: p.path + ".log"}
	s.cmd = exec.Command(p.path, append([]string{"-addr", s.addr, "-pidfile", s.pidfile, "-drain", "10s"}, p.args...)...)
	s.cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Dir(p.path))
	if err := s.launch(); err != nil {
		return nil, fmt.Errorf("can't start %s (%s): %w", p.name, p.pkg, err)
	}
	timeout := time.After(startTimeout)
	for s.pid() == 0 {
		select {
		case <-time.After(poll):
			continue
		case <-s.ended:
			err = fmt.Errorf("%s (%s) did not start: %v; it wrote:\n%s", p.name, p.pkg, s.cmd.ProcessState, s.wrote())
		case <-timeout:
			err = fmt.Errorf("%s (%s) did not serve on %s within %v; it wrote:\n%s", p.name, p.pkg, s.addr, startTimeout, s.wrote())
		case <-ctx.Done():
			err = errInterrupted
		}
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// launch starts s.cmd in a process group of its own and notices the end of the last
// process: each generation holds the write end of a pipe, as its standard output.
func (s *service) launch() error {
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	s.cmd.Stdout, s.cmd.Stderr = w, log
	ownGroup(s.cmd)
	if err := s.cmd.Start(); err != nil {
		r.Close()
		return err
	}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		io.Copy(io.Discard, r)
		r.Close()
		s.cmd.Wait()
	}()
	return nil
}

// end ends every generation.
func (s *service) end() error {
	for _, signal := range []func(group int){terminate, kill} {
		select {
		case <-s.ended:
			return nil
		default:
			signal(s.cmd.Process.Pid)
		}
		select {
		case <-s.ended:
			return nil
		case <-time.After(endTimeout):
		}
	}
	return fmt.Errorf("processes of group %d did not end, not even by SIGKILL", s.cmd.Process.Pid)
}

// pid is the process that serves, by the pid file, or 0.
func (s *service) pid() int {
	text, _ := os.ReadFile(s.pidfile)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// wrote returns the last lines that the generations wrote.
func (s *service) wrote() string {
	const lines = 10
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
}
