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

// rejectsItself has each generation but the first find itself bad while there is a file
// "bad".
func rejectsItself(p *process) {
	bad := filepath.Join(p.state, "bad")
	p.built = func(http.Handler) {
		go func() {
			for core.CurrentState() != core.StateCurrent {
				time.Sleep(time.Millisecond)
			}
			if _, err := os.Stat(bad); err == nil && core.Generation() > 0 {
				p.say("rejected", "error", core.Reject(errors.New("a bad cache")))
			}
		}()
	}
	p.opts = append(p.opts, core.WithProbation(time.Hour), core.WithProbationShare(0))
}

// A version that rejects itself is replaced by the one before, whose clients have not
// noticed; the next one passes.
func TestRollback(t *testing.T) {
	t.Parallel()
	eachFramework(t, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "bad")
		bad := filepath.Join(s.state, "bad")
		if err := os.WriteFile(bad, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		c := m.kind.client(s)
		url := m.kind.url(s) + "/"
		expect(t, s, post(t, c, url, strings.NewReader("before")), m.kind.proto, "before")
		s.signal(syscall.SIGHUP)
		first := s.await("to upgrade", func(e event) bool { return e.Msg == "current" && e.Generation == 1 })
		back := s.await("to roll back", func(e event) bool { return strings.HasPrefix(e.Msg, "upgrade rolled back") })
		if !strings.Contains(back.Error, "a bad cache") || back.Generation != 0 {
			t.Errorf("%+v", back)
		}
		s.await("the bad one to return", func(e event) bool {
			return e.Msg == "returned" && e.PID == first.PID && strings.Contains(e.Error, "a bad cache")
		})
		fresh := m.kind.client(s)
		expect(t, s, post(t, fresh, url, strings.NewReader("fresh")), m.kind.proto, "fresh")
		fresh.CloseIdleConnections()
		expect(t, s, post(t, c, url, strings.NewReader("kept")), m.kind.proto, "kept")
		if err := os.Remove(bad); err != nil {
			t.Fatal(err)
		}
		s.signal(syscall.SIGHUP)
		second := s.await("to upgrade", func(e event) bool {
			return e.Msg == "current" && e.Generation == 1 && e.PID != first.PID
		})
		s.signal(syscall.SIGTERM) // ends the probation
		s.awaitEnd(0)
		s.pid, s.gen = second.PID, 1
		expect(t, s, post(t, c, url, strings.NewReader("after")), m.kind.proto, "after")
		c.CloseIdleConnections()
		s.signal(syscall.SIGTERM)
		s.endsWell()
	})
}
