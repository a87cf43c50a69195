//go:build unix

package spec_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// The whole app is asked for before, during and after upgrades, under mixed load, by clients that never retry: nothing
// fails. What is in flight at an upgrade ends where it began.
func TestAppUnderUpgrades(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "")
		own := s.client()
		ask := func(when string) {
			t.Helper()
			if err := (visitor{own, s.url()}).all(s.gen); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		ask("before any load")
		loads := s.startMix()
		tours := []*tour{startTour(t, visitor{s.client(), s.url()}), startTour(t, visitor{s.fresh(), s.url()})}
		stop := func() {
			for _, tour := range tours {
				tour.stop()
			}
			stopAll(t, loads)
		}
		defer stop()
		round := func() {
			for _, l := range loads {
				s.awaitAnswers(l, 3)
			}
			for _, tour := range tours {
				tour.await(t, s)
			}
		}
		round()
		for range upgrades() {
			ask("before the upgrade") // which has to find its connection idle
			stream, err := (visitor{s.client(), s.url()}).openStream()
			must(t, err)
			answer := s.hold(s.client())
			old := s.upgrade(syscall.SIGUSR2)
			old.answered(<-answer, "held")
			if err := stream.finish(); err != nil {
				t.Errorf("a stream over the upgrade: %v", err)
			}
			round()
			ask("after the upgrade")
			if n := own.Transport.(*load.Transport).Dials(); n != 1 {
				t.Errorf("%d connections: an idle one does not move", n)
			}
		}
		stop()
		s.stop()
	})
}

// startMix starts one client that keeps its connection and one that does not for each kind of request that the app's
// echo understands.
func (s *server) startMix() []*load.Run {
	var runs []*load.Run
	for _, kind := range load.Kinds() {
		if cfg := kind.Config; !cfg.NoBody {
			cfg.Clients, cfg.Fresh, cfg.Think = 1, 1, 20*time.Millisecond
			runs = append(runs, s.startLoad(cfg))
		}
	}
	return runs
}

// tour is a visitor that asks for everything again and again.
type tour struct {
	quit   chan struct{}
	once   sync.Once
	done   sync.WaitGroup
	rounds chan struct{} // one is sent for each round, if somebody wants to know
}

func startTour(t *testing.T, v visitor) *tour {
	r := &tour{quit: make(chan struct{}), rounds: make(chan struct{})}
	r.done.Go(func() {
		for {
			if err := v.all(0); err != nil {
				t.Error(err)
			}
			select {
			case <-r.quit:
				return
			case r.rounds <- struct{}{}:
			default:
			}
		}
	})
	return r
}

// await waits for a round that began after it was called.
func (r *tour) await(t *testing.T, s *server) {
	t.Helper()
	late := time.After(patience)
	for range 2 {
		select {
		case <-r.rounds:
		case <-late:
			t.Fatalf("generation %d has not answered a round", s.gen)
		}
	}
}

func (r *tour) stop() {
	r.once.Do(func() { close(r.quit) })
	r.done.Wait()
}
