//go:build unix

package spec_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
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
		// Two visitors ask for everything again and again.
		var touring sync.WaitGroup
		var over atomic.Bool
		var tours [2]atomic.Int64
		for i, c := range []*http.Client{s.client(), s.fresh()} {
			touring.Go(func() {
				for ; !over.Load(); tours[i].Add(1) {
					if err := (visitor{c, s.url()}).all(0); err != nil {
						t.Error(err)
					}
				}
			})
		}
		stop := func() {
			over.Store(true)
			touring.Wait()
			stopAll(t, loads)
		}
		defer stop()
		round := func() {
			for _, l := range loads {
				s.awaitAnswers(l, 3)
			}
			for i := range tours { // the second one from now on began after this
				want := tours[i].Load() + 2
				s.Await(fmt.Sprintf("generation %d answers a tour", s.gen), func() bool { return tours[i].Load() >= want })
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
