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
		l2 := startHTTP2Load(s, m.kind)
		defer l2.stop()
		l2.await(0)
		for i := range upgrades {
			s.upgrade(syscall.SIGUSR2)
			l.await(s, 20)
			l2.await(i + 1)
		}
		if r := l2.stop(); r.Failed != 0 {
			t.Errorf("HTTP/2: %v", r)
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
	at := k.at(s)
	cfg.Network, cfg.Addr, cfg.Timeout, cfg.TLS = at.Network, at.Addr, at.Timeout, at.TLS
	cfg.Observe = func(sample load.Sample) {
		select {
		case l.answered <- sample.Server.Generation:
		default:
		}
	}
	l.Run = load.Start(cfg)
	return l
}

// http2Load is load by clients that speak HTTP/2, and nothing for a server that does not.
type http2Load struct {
	*load.Run
	s *server
}

const http2Clients = 2

func startHTTP2Load(s *server, k kind) *http2Load {
	if k.proto != "HTTP/2.0" {
		return &http2Load{}
	}
	cfg := k.at(s)
	cfg.HTTP2, cfg.Clients, cfg.Streams, cfg.Chunked, cfg.BodySize = true, http2Clients, 4, true, 2000
	return &http2Load{load.Start(cfg), s}
}

// await waits until each client has left so many processes, and has answers of the next.
func (l *http2Load) await(upgrades int) {
	if l.Run == nil {
		return
	}
	l.s.t.Helper()
	late := time.Now().Add(patience)
	more := 0
	for r := l.Snapshot(); r.Connects < http2Clients*(upgrades+1) || r.Requests < more; r = l.Snapshot() {
		if r.Connects >= http2Clients*(upgrades+1) && more == 0 {
			more = r.Requests + 20
		}
		if time.Now().After(late) {
			l.s.t.Fatalf("HTTP/2 clients do not go on to generation %d: %v", upgrades, r)
		}
		time.Sleep(time.Millisecond)
	}
}

func (l *http2Load) stop() load.Result {
	if l.Run == nil {
		return load.Result{}
	}
	return l.Stop()
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
