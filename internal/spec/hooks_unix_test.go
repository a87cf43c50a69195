//go:build unix

package spec_test

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core"
)

// An answer that does not end is cut at the deadline: the hook hears of it, it is
// counted, and the old generation says that it was cut short.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	eachFramework(t, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "cut")
		c := m.kind.client(s)
		stream, err := (visitor{c, m.kind.url(s)}).openStream() // whose end nobody asks for
		if err != nil {
			t.Fatal(err)
		}
		s.upgrade(syscall.SIGUSR2)
		if rest, err := io.ReadAll(stream.resp.Body); err == nil {
			t.Errorf("it has an end, behind %q", rest)
		}
		stream.close()
		old := func(msg string) event {
			return s.await("to log "+msg, func(e event) bool { return e.Msg == msg && e.Generation == 0 })
		}
		if e := old("drain timeout"); e.Left != 1 {
			t.Errorf("the hook heard of %d requests, want 1", e.Left)
		}
		if e := old("generation ended"); e.Ledger.Cut != 1 {
			t.Errorf("%d requests counted as cut, want 1", e.Ledger.Cut)
		}
		if e := old("returned"); !strings.HasPrefix(e.Error, core.ErrCut.Error()) {
			t.Errorf("returned %q, want ErrCut", e.Error)
		}
		c.CloseIdleConnections()
		s.signal(syscall.SIGTERM)
		s.AwaitEnd()
		if e := s.last("returned"); e.Generation != 1 || e.Error != "" {
			t.Errorf("generation %d returned %q after the stop", e.Generation, e.Error)
		}
	})
}

// A hook before the fork can veto an upgrade, and one after it hears the number of
// the process that becomes the next generation.
func TestForkHooks(t *testing.T) {
	t.Parallel()
	eachFramework(t, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "hooks")
		c := m.kind.client(s)
		url := m.kind.url(s) + "/"
		s.signal(syscall.SIGUSR2)
		failed := s.await("to veto", upgradeFailed)
		if !strings.Contains(failed.Error, core.ErrVetoed.Error()) || !strings.Contains(failed.Error, os.ErrPermission.Error()) {
			t.Errorf("the reason is %q, want ErrVetoed and the hook's", failed.Error)
		}
		expect(t, s, post(t, c, url, strings.NewReader("vetoed")), m.kind.proto, "vetoed")
		s.upgrade(syscall.SIGUSR2)
		forked := s.await("to fork", func(e event) bool { return e.Msg == "forked" })
		if forked.Generation != 0 || forked.New != s.pid {
			t.Errorf("generation %d heard of process %d, want 0 and %d", forked.Generation, forked.New, s.pid)
		}
		s.awaitEnd(0) // or it may still answer
		expect(t, s, post(t, c, url, strings.NewReader("allowed")), m.kind.proto, "allowed")
		c.CloseIdleConnections()
		s.stop()
	})
}
