package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	startTimeout = 15 * time.Second
	drainTimeout = 10 * time.Second // -drain of the programs
	// Each upgrade's, shorter than the default: the demo upgrades each second.
	probation = 300 * time.Millisecond
	poll      = 20 * time.Millisecond
)

// service is a program that runs, in all its generations. They share a process
// group of their own: ^C in the terminal reaches the demo only, and a
// generation that has not answered yet can be found and ended too.
type service struct {
	program program
	addr    string
	log     string        // the file with what the generations wrote
	cmd     *exec.Cmd     // generation 0, whose pid names the group
	gone    chan struct{} // closed when generation 0 has been waited for
	first   arrival       // who gave the first answer
	pids    []int         // every generation that has answered
}

// start runs the program on a free loopback port and returns when it answers.
func start(ctx context.Context, p program) (*service, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, fmt.Errorf("find a free port for %s: %w", p.name, err)
	}
	s := &service{program: p, addr: addr, log: p.path + ".log", gone: make(chan struct{})}
	log, err := os.Create(s.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd = exec.Command(p.path, append([]string{"-addr", addr, "-pidfile", p.path + ".pid", "-drain", drainTimeout.String()}, p.args...)...)
	s.cmd.Env = append(os.Environ(), "GIN_MODE=release", "XDG_RUNTIME_DIR="+filepath.Dir(p.path))
	s.cmd.Stdout, s.cmd.Stderr = log, log
	ownGroup(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("can't start %s (%s): %w", p.name, p.pkg, err)
	}
	go func() {
		s.cmd.Wait()
		close(s.gone)
	}()
	s.pids = append(s.pids, s.cmd.Process.Pid)
	if err := s.awaitAnswer(ctx); err != nil {
		return nil, errors.Join(err, s.end(s.cmd.Process.Pid))
	}
	return s, nil
}

// awaitAnswer asks until there is an answer, so that no request is counted that
// could not have been answered.
func (s *service) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		if err := s.ask(ctx); err == nil {
			return nil
		} else if errors.Is(err, errNoPID) {
			return err
		}
		select {
		case <-tick.C:
		case <-s.gone:
			return fmt.Errorf("%s (%s) did not start: %v; it wrote:\n%s",
				s.program.name, s.program.pkg, s.cmd.ProcessState, s.wrote())
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errors.New("interrupted before there was anything to count")
			}
			return fmt.Errorf("%s (%s) did not answer on %s within %v; it wrote:\n%s",
				s.program.name, s.program.pkg, s.addr, startTimeout, s.wrote())
		}
	}
}

var errNoPID = errors.New("its answer has no number in X-Pid, so there is no telling who to upgrade")

func (s *service) ask(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	pid, err := strconv.Atoi(resp.Header.Get("X-Pid"))
	if err != nil {
		return fmt.Errorf("%s (%s): %w", s.program.name, s.program.pkg, errNoPID)
	}
	s.first = arrival{pid: pid, generation: resp.Header.Get("X-Generation"), at: time.Now()}
	return nil
}

// end brings every generation to its end: a SIGTERM to the current one, which
// the draining ones need not have; one to whoever is left, which to gracex
// means "at once"; and then SIGKILL.
func (s *service) end(current int) error {
	for _, step := range []struct {
		targets func([]int) []int
		signal  func(pid int)
		wait    time.Duration
	}{
		{func(live []int) []int { return only(live, current) }, terminate, 3 * time.Second},
		{func(live []int) []int { return live }, terminate, 2 * time.Second},
		{func(live []int) []int { return live }, kill, 2 * time.Second},
	} {
		for _, pid := range step.targets(s.live()) {
			step.signal(pid)
		}
		for deadline := time.Now().Add(step.wait); time.Now().Before(deadline); time.Sleep(poll) {
			if len(s.live()) == 0 {
				<-s.gone
				return nil
			}
		}
	}
	return fmt.Errorf("processes of %s that did not end, not even by SIGKILL: %v", s.program.name, s.live())
}

// named checks that pid is what the pid file says.
func (s *service) named(pid int) error {
	text, err := os.ReadFile(s.program.path + ".pid")
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(text)); got != strconv.Itoa(pid) {
		return fmt.Errorf("the pid file says %q", got)
	}
	return nil
}

// live lists the generations that have not ended, those included that have not
// answered yet where the system can tell.
func (s *service) live() []int { return members(s.cmd.Process.Pid, s.pids) }

func only(pids []int, pid int) []int {
	for _, p := range pids {
		if p == pid {
			return []int{p}
		}
	}
	return nil
}

// wrote is the end of what the generations wrote.
func (s *service) wrote() string {
	const lines = 10
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
