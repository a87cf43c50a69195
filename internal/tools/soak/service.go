package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 5 * time.Second // of a process that nobody asks any more
	poll         = 20 * time.Millisecond
	alone        = 15 * poll // for so long it takes no signal to show
)

var errAllEnded = errors.New("no server is left")

// exit is how a process ended.
type exit struct {
	pid, status int
	signal      string // empty if none ended it
}

func (e exit) String() string {
	if e.signal != "" {
		return fmt.Sprintf("pid %d: signal %s", e.pid, e.signal)
	}
	return fmt.Sprintf("pid %d: exit status %d", e.pid, e.status)
}

// service is the server in all its generations.
type service struct {
	group   group
	dir     string
	journal *journal
	leash   *os.File      // the other end of the servers' stdin: they end when it is closed
	over    chan struct{} // closed to end what follows the processes
	wg      sync.WaitGroup

	mu    sync.Mutex
	exits []exit
}

// startService starts the first generation and returns when it is current.
func startService(ctx context.Context, o *options, dir string, log *os.File, v *verdict) (*service, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stdin, leash, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	r, out, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, leash.Close())
	}
	s := &service{dir: dir, journal: newJournal(v), leash: leash, over: make(chan struct{})}
	s.group, err = startGroup(self, o.serverArgs(dir), dir, []*os.File{stdin, out, out})
	out.Close()
	if err != nil {
		return nil, errors.Join(err, leash.Close(), r.Close())
	}
	s.wg.Go(func() {
		defer r.Close()
		s.journal.read(r, log)
	})
	s.wg.Go(s.collect)
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, errors.New("the server does not start"))
	defer cancel()
	if err := s.journal.await(ctx, 0); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// collect waits for processes.
func (s *service) collect() {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		ended := s.group.reap()
		s.mu.Lock()
		s.exits = append(s.exits, ended...)
		s.mu.Unlock()
		select {
		case <-tick.C:
		case <-s.over:
			return
		}
	}
}

// ended returns how the processes ended whose end was seen.
func (s *service) ended() []exit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.exits)
}

// current is who the pid file names.
func (s *service) current() (int, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, pidFileName))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// live lists the processes that have not ended.
func (s *service) live() []int {
	live, _ := s.members()
	return live
}

func (s *service) members() (live, zombies []int) {
	var known []int
	for _, g := range s.journal.look().history {
		if g.pid != 0 && g.ended.IsZero() {
			known = append(known, g.pid)
		}
	}
	return s.group.members(known)
}

// rest waits until no upgrade has been under way for d, and reports whether that
// was before ctx ended.
func (s *service) rest(ctx context.Context, d time.Duration) bool {
	for since, newest := time.Now(), -1; time.Since(since) < d; {
		state := s.journal.look()
		// A new process lives before it is current.
		starting := slices.ContainsFunc(s.live(), func(pid int) bool {
			return !slices.ContainsFunc(state.history, func(g generation) bool { return g.pid == pid })
		})
		if n := state.newest(); starting || n != newest {
			since, newest = time.Now(), n
		}
		if !pauseFor(ctx, poll) {
			return false
		}
	}
	return true
}

// settle waits until one process is left and stays alone for a while.
func (s *service) settle(patience time.Duration) error {
	since := time.Now()
	for limit := since.Add(patience); time.Since(since) < alone; time.Sleep(poll) {
		live := s.live()
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

// end stops the current generation, and then brings every process to its end
// that is left. It is an error if there had to be any of that.
func (s *service) end() error {
	var err error
	for i, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGTERM, syscall.SIGKILL} {
		left := s.live()
		if current, cerr := s.current(); i == 0 && cerr == nil && slices.Contains(left, current) {
			left = []int{current}
		}
		if len(left) > 0 && i > 0 {
			err = fmt.Errorf("processes that did not end on SIGTERM: %v", left)
		}
		for _, pid := range left {
			_ = s.group.deliver(pid, sig) // it may have ended
		}
		s.wait(func() bool { return len(s.live()) == 0 })
	}
	s.leash.Close()
	<-s.journal.done
	s.wait(func() bool {
		_, zombies := s.members()
		return len(zombies) == 0
	})
	close(s.over)
	s.wg.Wait()
	return err
}

// wait waits for cond, for a while.
func (s *service) wait(cond func() bool) {
	for limit := time.Now().Add(stopTimeout); !cond() && time.Now().Before(limit); {
		time.Sleep(poll)
	}
}
