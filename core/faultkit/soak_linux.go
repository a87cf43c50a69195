package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/internal/load"
)

// How long things take that depend on how long the whole does.
const (
	stretchShare, maxStretch  = 10, 10 * time.Second // the load on the last generation
	samplesWanted, maxSamples = 60, 5 * time.Second  // the pause between two samples
	progressShare, maxSilence = 10, 10 * time.Second
)

// How long a new process may take: long for one that only has to open its sockets, and short enough to wait for one
// that is stuck on purpose. The short form has none of those, and the machine is busy with other tests.
const (
	soakReady      = 2 * time.Second
	shortSoakReady = time.Minute
)

// lastDrain is how long the last drain may take: as long as the server lets it.
const lastDrain = 30 * time.Second

// soak is one run of the whole.
type soak struct {
	*options
	dir     string
	verdict *verdict
	journal *journal
	group   *group
	mix     *mix
	watch   watch
	schedule

	ready     time.Duration
	sampleAge time.Duration
	trend     trend         // of generations of that age
	began     time.Time     // of the load
	elapsed   time.Duration // its time
	quiet     [2]sample     // of a process that nobody asks: the first and the last
	books     books         // in the end
	sums      sums
}

// runSoak is the kit's main in a soak. Its error says which checks have failed.
func (o *options) runSoak(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log, err := o.openLog()
	if err != nil {
		return err
	}
	v := newVerdict(out)
	defer func() {
		log.Close()
		if err == nil && o.log == "" {
			os.Remove(log.Name())
			return
		}
		v.say("the servers' log is %s", log.Name())
	}()
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	v.say("soak: for %v, to be repeated with -seed %d", o.soakFor, o.seed)
	s := &soak{
		options: o, dir: dir, verdict: v, journal: newJournal(v, log), watch: watch{verdict: v, told: map[int]bool{}},
		ready: soakReady, sampleAge: min(500*time.Millisecond, o.soakFor/20),
	}
	s.schedule = schedule{rng: rand.New(rand.NewPCG(s.seed, 0)), plan: own.NewPlan(dir), failures: own.AllFailures}
	if o.short {
		s.ready, s.failures = shortSoakReady, own.QuickFailures
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	addresses := s.journal.look().history[0].addresses
	s.mix = &mix{
		verdict: v,
		plain:   load.Config{Addr: addresses[0]},
		secure:  load.Config{Addr: addresses[1], TLS: &tls.Config{InsecureSkipVerify: true}},
		unix:    load.Config{Addr: filepath.Join(dir, own.Socket), Network: "unix"},
	}
	err = s.first(ctx)
	if err == nil {
		s.load(ctx)
	}
	s.last(err == nil)
	if err != nil {
		return err
	}
	v.say("%s", s.summary())
	return v.err()
}

func (o *options) openLog() (*os.File, error) {
	if o.log == "" {
		return os.CreateTemp("", "soak-*.log")
	}
	return os.Create(o.log)
}

// first upgrades once and takes the census of a generation that nobody has asked:
// the one before is gone, and so all of its connections would be.
func (s *soak) first(ctx context.Context) error {
	err := s.signal(upgradeSignals[0])
	if err == nil {
		err = s.await(ctx, startTimeout, newestIs(1))
	}
	if err == nil {
		err = s.settle(restTimeout)
	}
	if err == nil {
		s.quiet[0], err = s.atRest(nil, 4*poll)
	}
	if err != nil {
		return fmt.Errorf("the first upgrade, without any load: %w", err)
	}
	return nil
}

// load upgrades under load until it is time or ctx ends.
func (s *soak) load(ctx context.Context) {
	s.began = time.Now()
	s.mix.fill(s.short)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.keepWatch(ctx, cancel)
	}()
	stretch := min(s.soakFor/stretchShare, maxStretch)
	striking, enough := context.WithTimeout(ctx, s.soakFor-stretch)
	s.upgrade(striking, min(s.soakFor/samplesWanted, maxSamples))
	enough()
	// So that there is a generation to take the census of which has served for more than moments.
	if err := s.rest(ctx, max(stretch, alone)); ctx.Err() != nil {
		s.verdict.say("stopping early")
	} else if err != nil {
		s.verdict.fail(checkUpgrades, "a process lives that is not current, and no upgrade is under way: %v",
			s.group.programs())
	}
	cancel()
	<-watched
	s.elapsed = time.Since(s.began)
	s.mix.stop()
}

// last takes the census of the last generation, ends everything, and checks what can be checked then.
func (s *soak) last(loaded bool) {
	if loaded {
		if err := s.settle(lastDrain); err != nil {
			s.verdict.fail(checkGenerations, "%v", err)
		} else if s.quiet[1], err = s.atRest(&s.quiet[0], min(s.soakFor, restTimeout)); err != nil {
			s.verdict.fail(checkLog, "census: %v", err)
		} else {
			for _, m := range quietMeasures {
				m.compare(m.of(s.quiet[0].Census), m.of(s.quiet[1].Census), "when nobody asks", s.verdict)
			}
		}
	}
	if err := s.end(); err != nil {
		s.verdict.fail(checkEnd, "%v", err)
	}
	s.books = books{s.journal.look(), s.mix.all(), s.mix.returns, s.group.ended(), s.trend}
	s.sums = s.books.audit(s.verdict)
}

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
