package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// How the upgrades come.
const (
	minPause, meanPause, maxPause = 20 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second

	burstShare   = 0.2 // of the strikes have several signals
	maxBurst     = 6
	burstGap     = 15 * time.Millisecond
	failureShare = 0.12 // of the strikes meet a version that fails

	// stuckAfter is how long a signal may be without an outcome, beyond the time that a new process has.
	stuckAfter = 15 * time.Second
)

var upgradeSignals = []os.Signal{syscall.SIGUSR2, syscall.SIGHUP}

// schedule decides when the server is upgraded.
type schedule struct {
	rng      *rand.Rand
	plan     own.Plan
	failures []string

	strikes, signals int
	pending          time.Time // of the oldest signal that nothing has come of; zero without one
}

// upgrade strikes until ctx ends. From time to time, and first of all, it leaves a generation alone to take its census.
func (s *soak) upgrade(ctx context.Context, sampleEvery time.Duration) {
	defer s.plan.Clear()
	for due := time.Now(); ctx.Err() == nil; {
		s.stuck()
		if time.Now().Before(due) {
			s.strike(ctx)
		} else {
			s.sample(ctx)
			due = time.Now().Add(sampleEvery)
		}
		_ = pause(ctx, min(minPause+time.Duration(s.rng.ExpFloat64()*float64(meanPause)), maxPause))
	}
}

// strike sends one signal or several in a row.
func (s *soak) strike(ctx context.Context) {
	s.strikes++
	if s.rng.Float64() < failureShare {
		if err := s.plan.Set(s.failures[s.rng.IntN(len(s.failures))]); err != nil {
			s.verdict.fail(checkUpgrades, "can't plan a failure: %v", err)
		}
	}
	n := 1
	if s.rng.Float64() < burstShare {
		n = 2 + s.rng.IntN(maxBurst-1)
	}
	for i := range n {
		if i > 0 && pause(ctx, time.Duration(s.rng.Int64N(int64(burstGap)+1))) != nil {
			return
		}
		s.ask()
	}
}

// ask asks the process that the pid file names for an upgrade.
func (s *soak) ask() {
	switch err := s.signal(upgradeSignals[s.rng.IntN(len(upgradeSignals))]); {
	case errors.Is(err, os.ErrProcessDone):
		return // it has handed over and ended since the file was read
	case err != nil:
		s.verdict.fail(checkUpgrades, "signal: %v", err)
		return
	}
	s.signals++
	if s.pending.IsZero() {
		s.pending = time.Now()
	}
}

// stuck looks whether something comes of signals.
func (s *soak) stuck() {
	switch {
	case s.pending.IsZero():
	case s.journal.look().outcome.After(s.pending):
		s.pending = time.Time{}
	case time.Since(s.pending) > s.ready+stuckAfter:
		s.verdict.fail(checkUpgrades, "nothing has come of a signal sent %v ago", time.Since(s.pending))
		s.pending = time.Time{}
	}
}

// sample upgrades once, and takes the census of the new generation when it is of
// the age that all samples are taken at.
func (s *soak) sample(ctx context.Context) {
	s.plan.Clear()
	next := s.journal.look().newest() + 1
	s.ask()
	if s.await(ctx, s.ready+stuckAfter, newestIs(next)) != nil || pause(ctx, s.sampleAge) != nil {
		return // an upgrade under way has failed perhaps
	}
	// Another one than was waited for is of another age.
	if c, err := s.census(ctx); err == nil && c.generation == next {
		s.trend = append(s.trend, c.Census)
	}
}
