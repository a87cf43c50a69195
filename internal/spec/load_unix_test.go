//go:build unix

package spec_test

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
)

// Under POST load that never retries, methods of each kind are upgraded: nothing
// fails.
func TestUpgradesUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	upgrades := 2
	if testing.Short() {
		upgrades = 1
	}
	eachKind(t, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "")
		l := startLoad(s, m.kind, load.Config{Clients: 8, Fresh: 4, Think: 2 * time.Millisecond})
		defer l.Stop()
		l.await(s, 20)
		for range upgrades {
			s.upgrade(syscall.SIGUSR2)
			l.await(s, 20)
		}
		if r := l.Stop(); r.Failed != 0 || len(r.Served) != upgrades+1 {
			t.Errorf("want 0 failed and %d generations: %v", upgrades+1, r)
		}
		s.stop()
	})
}

// loadRun is load whose progress can be waited for.
type loadRun struct {
	*load.Run
	answered chan string // by which generation
}

// startLoad puts load on s. Its clients speak HTTP/1.1 whatever the kind.
func startLoad(s *server, k kind, cfg load.Config) *loadRun {
	l := &loadRun{answered: make(chan string)}
	cfg.Network, cfg.Addr, cfg.Timeout = k.network, s.address, patience
	if k.scheme == "https" {
		cfg.TLS = clientTLS()
	}
	cfg.Observe = func(sample load.Sample) {
		select {
		case l.answered <- sample.Server.Generation:
		default:
		}
	}
	l.Run = load.Start(cfg)
	return l
}

// await waits until s's current generation has given some answers.
func (l *loadRun) await(s *server, answers int) {
	s.t.Helper()
	late := time.After(patience)
	for seen := 0; seen < answers; {
		select {
		case gen := <-l.answered:
			if gen == strconv.Itoa(s.gen) {
				seen++
			}
		case <-late:
			s.t.Fatalf("generation %d gets no load: %v", s.gen, l.Snapshot())
		}
	}
}
