//go:build unix

package spec_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// An answer that does not end is cut at the deadline of a handover: the hook hears of it, it is counted, and the old
// generation returns no error.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "cut")
		stream, err := (visitor{s.client(), s.url()}).openStream() // whose end nobody asks for
		must(t, err)
		s.upgrade(syscall.SIGUSR2)
		if rest, err := io.ReadAll(stream.resp.Body); err == nil {
			t.Errorf("it has an end, behind %q", rest)
		}
		stream.close()
		if e := s.awaitFrom(0, "drain timeout"); e.Left != 1 {
			t.Errorf("the hook heard of %d requests, want 1", e.Left)
		}
		if e := s.awaitFrom(0, "generation ended"); e.Ledger.Cut != 1 {
			t.Errorf("%d requests counted as cut, want 1", e.Ledger.Cut)
		}
		if e := s.awaitFrom(0, "returned"); e.Error != "" {
			t.Errorf("returned %q: the service goes on", e.Error)
		}
		s.terminate()
		s.AwaitEnd()
		if e := s.last("returned"); e.Generation != 1 || e.Error != "" {
			t.Errorf("generation %d returned %q after the stop", e.Generation, e.Error)
		}
	})
}

func TestHooks(t *testing.T) {
	t.Parallel()
	each(t, first, func(t *testing.T, m method) {
		s := start(t, m, "hooks")
		checksDecide(t, s)
		forkIsVetoed(t, s)
		stopIsDelayed(t, s)
	})
}

// The program's own checks decide over /readyz each time: one that fails, or hangs, is named in the answer. What the
// Skipper lets through is the app's.
func checksDecide(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	type failed = []struct{ Check, Error string }
	ask := func(status int, want failed) {
		t.Helper()
		resp, body := s.health(c, "/readyz")
		if resp.StatusCode != status || !slices.Equal(body.Failed, want) {
			t.Errorf("%s, failed: %q; want %d and %q", resp.Status, body.Failed, status, want)
		}
	}
	ask(200, nil)
	full, hangs := filepath.Join(s.state, "full"), filepath.Join(s.state, "hangs")
	must(t, errors.Join(os.WriteFile(full, nil, 0o600), os.WriteFile(hangs, nil, 0o600)))
	ask(503, failed{{"disk", "permission denied"}, {"database", "no answer in 1s"}})
	s.healthIs(c, "/livez", 200, "current")
	os.Remove(full)
	ask(503, failed{{"database", "no answer in 1s"}})
	os.Remove(hangs)
	for end := time.Now().Add(patience); ; { // the next but one may get the result of a run that is late
		resp, body := s.health(c, "/readyz")
		if resp.StatusCode == http.StatusOK {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s, failed: %q", resp.Status, body.Failed)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		r := request{method: "GET", path: path, header: http.Header{"X-Skip": {"yes"}}, status: 404}
		if err := (visitor{c, s.url()}).ask(r, 0); err != nil {
			t.Errorf("%s skipped: %v", path, err)
		}
	}
}

// A hook before the fork can veto an upgrade, and one after it hears the number of the process that becomes the next
// generation.
func forkIsVetoed(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	s.signal(syscall.SIGUSR2)
	failed := s.await("to veto", upgradeFailed)
	for _, reason := range []error{core.ErrVetoed, os.ErrPermission} {
		if !strings.Contains(failed.Error, reason.Error()) {
			t.Errorf("the reason is %q, want %q in it", failed.Error, reason)
		}
	}
	s.echoes(c, "vetoed")
	s.upgrade(syscall.SIGUSR2)
	if forked := s.awaitFrom(0, "forked"); forked.New != s.pid {
		t.Errorf("generation 0 heard of process %d, want %d", forked.New, s.pid)
	}
	s.awaitFrom(0, "generation ended") // or it may still answer
	s.echoes(c, "allowed")
}

// A stop with a delay before it: not ready at once, and yet a new connection is served. A second signal ends the
// delay.
func stopIsDelayed(t *testing.T, s *server) {
	t.Helper()
	c := s.fresh()
	s.healthIs(c, "/readyz", 200, "current")
	s.signal(syscall.SIGTERM)
	s.await("to be not ready", func(e event) bool { return strings.HasPrefix(e.Msg, "not ready any more") })
	s.healthIs(c, "/readyz", 503, "stopping")
	s.healthIs(c, "/livez", 200, "stopping")
	s.echoes(c, "served")
	s.stop()
}
