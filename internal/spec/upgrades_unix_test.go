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
			s.awaitFrom(old.gen, "generation ended") // so the idle connection has moved
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

const http2Clients = 2

// Under POST load that never retries, methods of each kind are upgraded: nothing fails.
func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	each(t, firstOfKind, func(t *testing.T, m method) {
		s := start(t, m, "")
		loads := []*load.Run{s.startLoad(load.Config{Clients: 8, Fresh: 4, Think: 2 * time.Millisecond})}
		http2, moves := m.kind.proto == "HTTP/2.0", s.at().TLS == nil
		if http2 {
			loads = append(loads, s.startLoad(load.Config{
				HTTP2: true, Clients: http2Clients, Streams: 4, Chunked: true, BodySize: 2000,
			}))
		}
		defer stopAll(t, loads)
		for i := range upgrades() + 1 {
			if i > 0 {
				s.upgrade(syscall.SIGUSR2)
			}
			if http2 { // the clients of each process are answered by the next one
				if moves {
					s.AwaitLog(`"msg":"generation ended"`, i)
				}
				answered := 0
				s.Await(fmt.Sprintf("HTTP/2 clients go on to generation %d", i), func() bool {
					r := loads[1].Snapshot()
					if !moves && r.Connects < http2Clients*(i+1) {
						return false
					}
					if answered == 0 {
						answered = r.Requests + 20
					}
					return r.Requests >= answered
				})
			}
			s.awaitAnswers(loads[0], 20)
		}
		stopAll(t, loads)
		if r := loads[0].Stop(); len(r.Served) != upgrades()+1 {
			t.Errorf("want %d generations: %v", upgrades()+1, r)
		}
		if http2 && moves {
			if r := loads[1].Stop(); r.Connects != http2Clients {
				t.Errorf("HTTP/2 connections in the clear move, and there were %d of %d clients: %v", r.Connects, http2Clients, r)
			}
		}
		s.stop()
	})
}

// upgrades is how many a program goes through that has load.
func upgrades() int {
	if testing.Short() {
		return 1
	}
	return 2
}

// startLoad puts load on s. Its clients speak HTTP/1.1 whatever the kind, unless cfg has HTTP2.
func (s *server) startLoad(cfg load.Config) *load.Run {
	at := s.at()
	cfg.Network, cfg.Addr, cfg.Timeout, cfg.TLS = at.Network, at.Addr, at.Timeout, at.TLS
	return load.Start(cfg)
}

// awaitAnswers waits until s's current generation has given so many answers more.
func (s *server) awaitAnswers(l *load.Run, n int) {
	s.t.Helper()
	by := s.current()
	before := l.Snapshot().Served[by]
	s.Await(fmt.Sprintf("generation %d answers the load", s.gen), func() bool {
		return l.Snapshot().Served[by] >= before+n
	})
}

// stopAll stops load, of which nothing may have failed.
func stopAll(t *testing.T, runs []*load.Run) {
	t.Helper()
	for _, l := range runs {
		if r := l.Stop(); r.Failed != 0 {
			t.Error(r)
		}
	}
}
