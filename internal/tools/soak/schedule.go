package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"
)

// How the upgrades come.
const (
	minPause, meanPause, maxPause = 20 * time.Millisecond, 400 * time.Millisecond, 2 * time.Second

	burstShare   = 0.2 // of the strikes have several signals
	maxBurst     = 6
	burstGap     = 15 * time.Millisecond
	failureShare = 0.12 // of the strikes meet a version that fails

	// stuckAfter is how long a signal may be without an outcome, beyond the time
	// that a new process has.
	stuckAfter = 15 * time.Second
)

// schedule decides when the server is upgraded, and asks it to.
type schedule struct {
	*soak
	rng   *rand.Rand
	plan  plan
	kinds []string // of failures

	strikes, signals, late int
	pending                time.Time // of the oldest signal that nothing has come of; zero without one
}

func newSchedule(s *soak) *schedule {
	sc := &schedule{soak: s, rng: s.random(streamSchedule), plan: newPlan(s.service.dir), kinds: allFailures}
	if s.few {
		sc.kinds = quickFailures
	}
	return sc
}

// run strikes until ctx ends. From time to time, and first of all, it leaves a
// generation alone to take its census.
func (s *schedule) run(ctx context.Context, sampleEvery time.Duration) {
	defer s.plan.clear()
	for due := time.Now(); ctx.Err() == nil; pauseFor(ctx, s.pause()) {
		s.stuck()
		if time.Now().Before(due) {
			s.strike(ctx)
			continue
		}
		s.sample(ctx)
		due = time.Now().Add(sampleEvery)
	}
}

func (s *schedule) pause() time.Duration {
	return min(minPause+time.Duration(s.rng.ExpFloat64()*float64(meanPause)), maxPause)
}

// strike sends one signal or several in a row.
func (s *schedule) strike(ctx context.Context) {
	s.strikes++
	if s.rng.Float64() < failureShare {
		if err := s.plan.set(s.kinds[s.rng.IntN(len(s.kinds))]); err != nil {
			s.verdict.fail(checkUpgrades, "can't plan a failure: %v", err)
		}
	}
	n := 1
	if s.rng.Float64() < burstShare {
		n = 2 + s.rng.IntN(maxBurst-1)
	}
	for i := range n {
		if i > 0 && !pauseFor(ctx, upTo(burstGap, s.rng)) {
			return
		}
		s.signal()
	}
}

// signal asks whoever the pid file names.
func (s *schedule) signal() {
	pid, err := s.service.current()
	if err != nil {
		s.verdict.fail(checkUpgrades, "pid file: %v", err)
		return
	}
	err = s.service.group.deliver(pid, upgradeSignals[s.rng.IntN(len(upgradeSignals))])
	switch {
	case errors.Is(err, os.ErrProcessDone):
		s.late++ // it has handed over and ended since the file was read
		return
	case err != nil:
		s.verdict.fail(checkUpgrades, "signal to %d: %v", pid, err)
		return
	}
	s.signals++
	if s.pending.IsZero() {
		s.pending = time.Now()
	}
}

// stuck looks whether something comes of signals.
func (s *schedule) stuck() {
	switch {
	case s.pending.IsZero():
	case s.service.journal.look().outcome.After(s.pending):
		s.pending = time.Time{}
	case time.Since(s.pending) > s.ready+stuckAfter:
		s.verdict.fail(checkUpgrades, "nothing has come of a signal sent %v ago", time.Since(s.pending))
		s.pending = time.Time{}
	}
}

// sample upgrades once, and takes the census of the new generation when it is of
// the age that all samples are taken at.
func (s *schedule) sample(ctx context.Context) {
	s.plan.clear()
	next := s.service.journal.look().newest() + 1
	s.signal()
	wait, cancel := context.WithTimeout(ctx, s.ready+stuckAfter)
	defer cancel()
	if s.service.journal.await(wait, next) != nil || !pauseFor(ctx, s.sampleAge) {
		return // an upgrade under way has failed perhaps
	}
	// Another one than was waited for is of another age.
	if c, err := s.probe.ask(); err == nil && c.Generation == next {
		s.trend.add(c)
	}
}

// pauseFor lets d pass and reports whether it did before ctx ended.
func pauseFor(ctx context.Context, d time.Duration) bool { return pause(d, ctx.Done()) }
