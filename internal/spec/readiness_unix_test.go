//go:build unix

package spec_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/health"
)

// logStates makes the program ask itself in every state that it can't be asked in from outside, and log the answer.
func logStates(p *process) {
	var app http.Handler
	say := func(when string) {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest(http.MethodGet, health.DefaultReadyPath, nil))
		var body healthBody
		_ = json.Unmarshal(w.Body.Bytes(), &body) // what is missing shows
		p.say("state", "error", when, "status", w.Code, "state", body.State)
	}
	p.built = func(a http.Handler) {
		app = a
		say("before")
	}
	p.returned = func() { say("after") }
	p.opts = append(p.opts,
		core.WithConnectionHandoff(false), // the connections that ask stay
		core.WithReadyCheck(func(context.Context) error { say("check"); return nil }),
		core.OnPreFork(func(context.Context) error { say("fork"); return nil }))
}

func TestReadinessThroughAnUpgrade(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "states")
		said := func(when string, generation, status int, state string) {
			t.Helper()
			e := s.await("to ask itself "+when, func(e event) bool {
				return e.Msg == "state" && e.Error == when && e.Generation == generation
			})
			if e.Status != status || e.State != state {
				t.Errorf("generation %d, %s: %d %s, want %d %s", generation, when, e.Status, e.State, status, state)
			}
		}
		// Two connections to generation 0: one is kept busy over the upgrade, the other asks before and after it.
		busy, probe := s.client(), s.client()
		probed := func(path string, status int, state string, closes bool) {
			t.Helper()
			if resp := s.healthIs(probe, path, status, state); resp.Close != closes {
				t.Errorf("%s: %s, closes: %t; want %t", path, state, resp.Close, closes)
			}
		}
		said("before", 0, 503, "none")
		said("check", 0, 503, "starting")
		probed("/readyz", 200, "current", false)
		probed("/livez", 200, "current", false)

		// The request ends when the test ends its body.
		body, end := io.Pipe()
		defer end.Close()
		held := make(chan *http.Response, 1)
		go func() { held <- s.post(busy, "/", body) }()
		_, err := io.WriteString(end, "held")
		must(t, err)
		// A connection that comes later is accepted later.
		s.healthIs(s.fresh(), "/readyz", 200, "current")
		old := s.upgrade(syscall.SIGUSR2)
		said("fork", 0, 200, "upgrading")
		said("check", 1, 503, "starting")
		s.awaitFrom(0, "draining")
		// Its connection is still generation 0's, and the next one is not.
		probed("/readyz", 503, "draining", true)
		probed("/readyz", 200, "current", false)
		end.Close()
		old.answered(<-held, "held")
		busy.CloseIdleConnections()
		said("after", 0, 503, "stopped")
		s.stop()
		said("after", 1, 503, "stopped")
	})
}

// The new generation says ready from its first connection on: what a check on a new connection may meet in an upgrade
// is a connection that the old generation accepted last, and nothing else.
func TestReadinessFromTheFirstConnection(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "")
		var stop atomic.Bool
		var probes sync.WaitGroup
		for range 4 {
			probes.Go(func() {
				for c := s.fresh(); !stop.Load(); {
					resp, err := c.Get(s.url() + "/readyz")
					if err != nil {
						t.Error(err)
						return
					}
					body := drain(t, resp)
					if resp.StatusCode != http.StatusOK && body != `{"state":"draining"}` {
						t.Errorf("%s %s", resp.Status, body)
					}
				}
			})
		}
		for range 4 {
			s.upgrade(syscall.SIGUSR2)
		}
		stop.Store(true)
		probes.Wait()
		s.stop()
	})
}
