package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// How long things take that depend on how long the whole does.
const (
	stretchShare, maxStretch  = 10, 10 * time.Second // the load on the last generation
	samplesWanted, maxSamples = 60, 5 * time.Second  // the pause between two samples
	progressShare, maxSilence = 10, 10 * time.Second
)

// soak is one run of the whole.
type soak struct {
	*options
	verdict *verdict
	service *service
	probe   *probe
	crowd   *crowd
	trend   *trend
	watch   *watch

	sampleAge time.Duration
	began     time.Time     // of the load
	elapsed   time.Duration // its time
	quiet     [2]census     // of a process that nobody asks: the first and the last
	clients   load.Result   // all of them, in the end
	sums      sums
}

// run is the soak's main. Its error says which checks have failed.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	if !supported {
		return errors.New("there are no upgrades on this system")
	}
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
	v.say("soak: for %v, to be repeated with -seed %d", o.lasting, o.seed)
	secure, err := writeCertificate(dir)
	if err != nil {
		return err
	}
	s := &soak{options: &o, verdict: v, trend: &trend{}, sampleAge: min(500*time.Millisecond, o.lasting/20)}
	if s.service, err = startService(ctx, &o, dir, log, v); err != nil {
		return err
	}
	addresses := s.service.journal.look().addresses
	s.probe = newProbe(addresses[0], v)
	s.crowd = newCrowd(addresses, filepath.Join(dir, socketName), secure, v)
	s.crowd.join("census", changes, 1, s.probe)
	s.watch = newWatch(s)
	sc := newSchedule(s)
	err = s.first(ctx)
	if err == nil {
		s.load(ctx, sc)
	}
	s.last(err == nil)
	if err != nil {
		return err
	}
	v.say("%s", s.summary(sc))
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
	pid, err := s.service.current()
	if err == nil {
		err = s.service.group.deliver(pid, upgradeSignals[0])
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		err = s.service.journal.await(ctx, 1)
	}
	if err == nil {
		err = s.service.settle(stopTimeout)
	}
	if err == nil {
		s.quiet[0], err = s.probe.quiet(nil, 10*poll)
	}
	if err != nil {
		return fmt.Errorf("the first upgrade, without any load: %w", err)
	}
	return nil
}

// load upgrades under load until it is time or ctx ends.
func (s *soak) load(ctx context.Context, sc *schedule) {
	s.began = time.Now()
	s.crowd.fill(s.options)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watch.run(ctx, cancel)
	}()
	stretch := min(s.lasting/stretchShare, maxStretch)
	striking, enough := context.WithTimeout(ctx, s.lasting-stretch)
	sc.run(striking, min(s.lasting/samplesWanted, maxSamples))
	enough()
	// So that there is a generation to take the census of which has served for more
	// than moments.
	if !s.service.rest(ctx, max(stretch, alone)) {
		s.verdict.say("stopping early")
	}
	cancel()
	<-watched
	s.elapsed = time.Since(s.began)
	s.crowd.stop()
}

// last takes the census of the last generation, ends everything, and checks what
// can be checked then.
func (s *soak) last(loaded bool) {
	if loaded {
		if err := s.service.settle(drainTimeout); err != nil {
			s.verdict.fail(checkGenerations, "%v", err)
		} else if s.quiet[1], err = s.probe.quiet(&s.quiet[0], min(s.lasting, stopTimeout)); err == nil {
			s.compareQuiet()
		}
	}
	if err := s.service.end(); err != nil {
		s.verdict.fail(checkEnd, "%v", err)
	}
	if _, zombies := s.service.members(); len(zombies) > 0 {
		s.verdict.fail(checkZombies, "%v", zombies)
	}
	s.clients = s.crowd.snapshot()
	state := s.service.journal.look()
	s.sums = audit(state.history, s.clients, s.verdict)
	auditReturns(s.crowd.returns, state.history, s.verdict)
	auditExits(s.service.ended(), state, s.verdict)
	s.trend.check(s.verdict)
}

// compareQuiet compares the last generation with the first one of its kind.
func (s *soak) compareQuiet() {
	first, last := s.quiet[0], s.quiet[1]
	if last.Goroutines > first.Goroutines {
		s.verdict.fail(checkGoroutines, "%d are left of %d when nobody asks any more", last.Goroutines, first.Goroutines)
	}
	if last.Descriptors > first.Descriptors {
		s.verdict.fail(checkDescriptors, "%d are left of %d when nobody asks any more", last.Descriptors, first.Descriptors)
	}
	if grown(first.Heap, last.Heap, moreMemory) {
		s.verdict.fail(checkMemory, "%s of heap are left, %s was used before, when nobody asks any more", size(last.Heap), size(first.Heap))
	}
}
