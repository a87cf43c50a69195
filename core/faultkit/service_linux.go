package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

const (
	startTimeout = 30 * time.Second
	restTimeout  = 5 * time.Second        // of a process that nobody asks any more
	alone        = 300 * time.Millisecond // for so long it takes no signal to show
)

var errAllEnded = errors.New("no server is left")

// service is the kit's own server in all its generations, in a soak.
type service struct {
	group   *group
	dir     string
	journal *journal
	leash   *os.File // the other end of the servers' stdin: they end when it is closed
}

// startService starts the first generation and returns when it is current.
func startService(ctx context.Context, argv []string, dir string, log *os.File, v *verdict) (*service, error) {
	stdin, leash, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	r, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, leash.Close())
	}
	s := &service{dir: dir, journal: newJournal(v), leash: leash}
	s.group, err = startGroup(&exec.Cmd{
		Path: argv[0], Args: argv, Dir: dir, Stdin: stdin, Stdout: out, Stderr: out,
		// The race detector would have each process wait for a second at its end.
		Env: append(os.Environ(), "PWD="+dir, "XDG_RUNTIME_DIR="+dir, "GORACE="+os.Getenv("GORACE")+" atexit_sleep_ms=0"),
	})
	out.Close()
	if err != nil {
		return nil, errors.Join(err, leash.Close(), r.Close())
	}
	go func() {
		defer r.Close()
		s.journal.read(r, log)
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("the server does not start"))
	defer cancel()
	if err := s.journal.await(ctx, newestIs(0)); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// current is the process that the pid file names.
func (s *service) current() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, own.PIDFile))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// signal sends a signal to it.
func (s *service) signal(sig os.Signal) error {
	pid, err := s.current()
	if err != nil {
		return err
	}
	return s.group.Signal(pid, sig)
}

// census has the current process take its census.
func (s *service) census(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, restTimeout, errors.New("the server takes no census"))
	defer cancel()
	before := len(s.journal.look().samples)
	err := s.signal(syscall.SIGUSR1)
	if err == nil {
		err = s.journal.await(ctx, func(state *journalState) bool { return len(state.samples) > before })
	}
	if err != nil {
		return sample{}, err
	}
	return s.journal.look().samples[before], nil
}

// quiet takes the census until the process has no more than the one before had when
// nobody asked it, and at last when patience is over: what clients leave behind goes
// within moments. Without one before it takes all of the time.
func (s *service) quiet(before *sample, patience time.Duration) (c sample, err error) {
	within(patience, func() bool {
		c, err = s.census(context.Background())
		return err != nil || before != nil && c.Goroutines <= before.Goroutines && c.Descriptors <= before.Descriptors
	})
	return c, err
}

// rest waits until no upgrade has been under way for d, and reports whether that
// was before ctx ended.
func (s *service) rest(ctx context.Context, d time.Duration) bool {
	for since, newest := time.Now(), -1; time.Since(since) < d; {
		state := s.journal.look()
		// A new process lives before it is current.
		starting := slices.ContainsFunc(s.group.programs(), func(pid int) bool {
			return !slices.ContainsFunc(state.history, func(g generation) bool { return g.pid == pid })
		})
		if n := state.newest(); starting || n != newest {
			since, newest = time.Now(), n
		}
		if pause(ctx, poll) != nil {
			return false
		}
	}
	return true
}

// settle waits until one process is left and stays alone for a while.
func (s *service) settle(patience time.Duration) error {
	since := time.Now()
	for limit := since.Add(patience); time.Since(since) < alone; time.Sleep(poll) {
		live := s.group.programs()
		switch {
		case len(live) == 0:
			return errAllEnded
		case len(live) > 1 && time.Now().After(limit):
			return fmt.Errorf("%d processes are left after %v: %v", len(live), patience, live)
		case len(live) > 1:
			since = time.Now()
		}
	}
	return nil
}

// end stops the current generation, and then kills every process that is left. It is an
// error if there is any.
func (s *service) end() error {
	defer func() { <-s.journal.done }()
	defer s.leash.Close()
	pids := s.group.programs()
	if pid, err := s.current(); err == nil && slices.Contains(pids, pid) {
		pids = []int{pid}
	}
	for _, pid := range pids {
		_ = s.group.Signal(pid, syscall.SIGTERM) // it may have ended
	}
	if within(restTimeout, s.group.empty) {
		return nil
	}
	left := s.group.members()
	return fmt.Errorf("killed, because they did not end on SIGTERM: %v; there all the same: %v", left, s.group.Clear(killTime))
}
