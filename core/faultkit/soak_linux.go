package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
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
	if s.rest(ctx, max(stretch, alone)) != nil {
		s.verdict.say("stopping early")
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
	s.books = books{s.journal.look(), s.mix.snapshot(), s.mix.returns, s.group.ended(), s.trend}
	s.sums = s.books.audit(s.verdict)
}
