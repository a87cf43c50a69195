//go:build unix

package spec_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// rejectsItself makes each generation but the first find itself bad while there is a file "bad".
func rejectsItself(p *process) {
	bad := filepath.Join(p.state, "bad")
	p.built = func(http.Handler) {
		go func() {
			for core.Status().State != core.StateCurrent {
				time.Sleep(time.Millisecond)
			}
			if _, err := os.Stat(bad); err == nil && core.Generation() > 0 {
				p.say("rejected", "error", core.Reject(errors.New("a bad cache")))
			}
		}()
	}
	p.opts = append(p.opts, core.WithProbation(time.Hour), core.WithProbationShare(0))
}

// A version that rejects itself is replaced by the one before, whose clients have not noticed; the next one passes.
func TestRollback(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "bad")
		bad := filepath.Join(s.state, "bad")
		must(t, os.WriteFile(bad, nil, 0o644))
		c := s.client()
		s.echoes(c, "before")
		s.signal(syscall.SIGHUP)
		rejected := s.awaitFrom(1, "current")
		back := s.await("to roll back", func(e event) bool { return strings.HasPrefix(e.Msg, "upgrade rolled back") })
		if !strings.Contains(back.Error, "a bad cache") || back.Generation != 0 {
			t.Errorf("%+v", back)
		}
		s.await("the bad one to return", func(e event) bool {
			return e.Msg == "returned" && e.PID == rejected.PID && strings.Contains(e.Error, "a bad cache")
		})
		fresh := s.client()
		s.echoes(fresh, "fresh")
		fresh.CloseIdleConnections()
		s.echoes(c, "kept")
		must(t, os.Remove(bad))
		s.signal(syscall.SIGHUP)
		second := s.await("to upgrade", func(e event) bool {
			return e.Msg == "current" && e.Generation == 1 && e.PID != rejected.PID
		})
		s.signal(syscall.SIGTERM) // ends the probation
		s.awaitFrom(0, "generation ended")
		s.pid, s.gen = second.PID, 1
		s.echoes(c, "after")
		s.terminate()
		s.endsWell()
	})
}
