package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

const (
	startTimeout = 30 * time.Second
	restTimeout  = 5 * time.Second        // of a process that nobody asks any more
	alone        = 300 * time.Millisecond // for so long it takes no signal to show
)

var errAllEnded = errors.New("no server is left")

// start starts the first generation of the kit's own server and returns when it is current.
func (s *soak) start(ctx context.Context) (err error) {
	s.group, err = startGroup(&exec.Cmd{
		Path: s.program[0], Dir: s.dir, Stdout: s.journal, Stderr: s.journal,
		Args: []string{s.program[0], "-soak", s.dir, "-ready", s.ready.String(), "-break", strings.Join(s.breaks, ",")},
		// The race detector would have each process wait for a second at its end.
		Env: []string{"PWD=" + s.dir, "GORACE=" + os.Getenv("GORACE") + " atexit_sleep_ms=0"},
	}, s.dir)
	if err != nil {
		return err
	}
	if err := s.await(ctx, startTimeout, newestIs(0)); err != nil {
		return errors.Join(fmt.Errorf("the server does not start: %w", err), s.end())
	}
	return nil
}

// await waits until the log says what is wanted.
func (s *soak) await(ctx context.Context, d time.Duration, wanted func(*journalState) bool) error {
	err := within(ctx, d, func() bool { return s.journal.says(wanted) || !s.group.Running() })
	if err == nil && !s.journal.says(wanted) {
		return errAllEnded
	}
	return err
}

// current is the process that the pid file names; 0 for none.
func (s *soak) current() int { return procgroup.ReadPIDFile(filepath.Join(s.dir, own.PIDFile)) }

// signal sends a signal to it.
func (s *soak) signal(sig os.Signal) error {
	pid := s.current()
	if pid == 0 {
		return errors.New("the pid file names no process")
	}
	return s.group.Signal(pid, sig)
}

// census asks the current process for its census.
func (s *soak) census(ctx context.Context) (sample, error) {
	before := len(s.journal.look().samples)
	err := s.signal(syscall.SIGUSR1)
	if err == nil {
		err = s.await(ctx, restTimeout, func(state *journalState) bool { return len(state.samples) > before })
	}
	if err != nil {
		return sample{}, fmt.Errorf("the server takes no census: %w", err)
	}
	return s.journal.look().samples[before], nil
}

// atRest takes the census until the process has no more than the one before had when nobody asked it, and at last
// when patience is over: what clients leave behind goes within moments. Without one before it takes all of the time.
func (s *soak) atRest(before *sample, patience time.Duration) (c sample, err error) {
	_ = within(context.Background(), patience, func() bool {
		c, err = s.census(context.Background())
		return err != nil || before != nil && c.Goroutines <= before.Goroutines && c.Descriptors <= before.Descriptors
	})
	return c, err
}

// rest waits until no upgrade has been under way for d, unless ctx ends before. One can't be under way for longer than
// a new process has to start.
func (s *soak) rest(ctx context.Context, d time.Duration) error {
	return within(ctx, s.ready+stuckAfter+d, steady(d, func() int {
		state := s.journal.look()
		for _, pid := range s.group.programs() {
			if !slices.ContainsFunc(state.history, func(g generation) bool { return g.pid == pid }) {
				return -1 // a new process lives before it is current
			}
		}
		return state.newest()
	}))
}

// settle waits until one process is left and stays alone for a while.
func (s *soak) settle(patience time.Duration) error {
	var live []int
	err := within(context.Background(), patience+alone, steady(alone, func() int {
		if live = s.group.programs(); len(live) > 1 {
			return -1
		}
		return len(live)
	}))
	switch {
	case err != nil:
		return fmt.Errorf("%d processes are left after %v: %v", len(live), patience, live)
	case len(live) == 0:
		return errAllEnded
	}
	return nil
}

// end stops the current generation, and then kills every process that is left. It is an error if there is any.
func (s *soak) end() error {
	defer func() {
		s.group.Close()
		<-s.group.Ended()
	}()
	pids := s.group.programs()
	if pid := s.current(); slices.Contains(pids, pid) {
		pids = []int{pid}
	}
	for _, pid := range pids {
		_ = s.group.Signal(pid, syscall.SIGTERM) // it may have ended
	}
	if within(context.Background(), restTimeout, s.group.empty) == nil {
		return nil
	}
	left := s.group.members()
	return fmt.Errorf("killed, because they did not end on SIGTERM: %v; there all the same: %v", left, s.group.clear())
}

// keepWatch looks at the processes while the load runs, and says how it goes, until ctx
// ends. If no process is left it gives up.
func (s *soak) keepWatch(ctx context.Context, giveUp func()) {
	tell := time.NewTicker(min(s.soakFor/progressShare, maxSilence))
	defer tell.Stop()
	for pause(ctx, watchEvery) == nil {
		var live, zombies []int
		for _, p := range s.group.members() {
			if p.Ended() {
				zombies = append(zombies, p.PID)
			} else {
				live = append(live, p.PID)
			}
		}
		s.watch.judge(time.Now(), len(live), zombies, s.journal.look().history)
		// While /proc is read a process can start the next one and end, and neither is seen. Their output tells.
		if len(live) == 0 && !s.group.Running() {
			s.verdict.fail(checkGenerations, "%v", errAllEnded)
			giveUp()
		}
		select {
		case <-tell.C:
			s.verdict.say("%s", s.progress())
		default:
		}
	}
}
