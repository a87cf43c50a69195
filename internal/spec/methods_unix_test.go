//go:build unix

package spec_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// Each run method serves the whole app in its protocol, hands over while a request of that protocol is in flight, again
// and again, and stops while one is. A client that comes back over TLS resumes its session.
func TestRunMethods(t *testing.T) {
	t.Parallel()
	each(t, upgradable, func(t *testing.T, m method) {
		s := start(t, m, "")
		if m.kind == h2c {
			speaksHTTP1(t, &server{t: t, kind: plain, pid: s.pid, address: s.address})
		}
		c, session := s.client(), s.newSession()
		session.shakesHands(false)
		for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP} {
			s.echoes(c, "first")
			held := s.hold(c)
			old := s.upgrade(sig)
			old.answered(<-held, "held")
			if m.kind.proto == "HTTP/1.1" && !m.kind.moves {
				// The connection is still the old generation's, and its last answer says so.
				resp := s.post(c, "/", strings.NewReader("polite"))
				if resp != nil && !resp.Close {
					t.Error("no Connection: close on the connection of the generation that drains")
				}
				old.answered(resp, "polite")
			}
			// Nothing but a client that was told to go keeps it waiting.
			if end := s.awaitFrom(old.gen, "generation ended"); end.Ledger.Idle != 0 {
				t.Errorf("generation %d ended by closing %d idle connections", old.gen, end.Ledger.Idle)
			}
			if !m.kind.moves {
				c.CloseIdleConnections() // which it may not have seen closed yet
			}
			s.echoes(c, "second")
			session.shakesHands(true)
			for _, msg := range m.says {
				if e := s.awaitHere(msg); e.Address != "" && e.Address != s.address {
					t.Errorf("%s said %s, want %s", msg, e.Address, s.address)
				}
			}
		}
		if err := (visitor{c, s.url()}).all(s.gen); err != nil {
			t.Error(err)
		}
		if m.kind.moves {
			if n := c.Transport.(*load.Transport).Dials(); n != 1 {
				t.Errorf("%d connections: they do not move with an upgrade", n)
			}
		}
		held := s.hold(c)
		s.signal(syscall.SIGTERM)
		s.answered(<-held, "held")
		s.end()
		for _, msg := range m.says {
			if n := len(s.logged(msg)); n != s.gen+1 {
				t.Errorf("%s %d times in %d generations", msg, n, s.gen+1)
			}
		}
		if m.kind.network == "unix" {
			if _, err := os.Lstat(s.address); err == nil {
				t.Error("the socket's path is still there after the stop")
			}
		}
	})
}

// speaksHTTP1 checks that a server that speaks HTTP/2 without TLS answers a client that knows none in HTTP/1.1, and one
// that asks for h2c by Upgrade too.
func speaksHTTP1(t *testing.T, s *server) {
	t.Helper()
	c := s.client()
	defer s.leave()
	s.echoes(c, "plain")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url()+"/", strings.NewReader("upgrade"))
	must(t, err)
	req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
	req.Header.Set("Upgrade", "h2c")
	req.Header.Set("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
	resp, err := c.Do(req)
	must(t, err)
	s.answered(resp, "upgrade")
}

// A listener from net.Listen serves, and what is documented about upgrades holds: the next generation's own net.Listen
// fails, and this one serves on.
func TestForeignListener(t *testing.T) {
	t.Parallel()
	each(t, func(m method) bool { return m.foreign }, func(t *testing.T, m method) {
		s := start(t, m, "")
		c := s.client()
		s.echoes(c, "one")
		s.signal(syscall.SIGUSR2)
		failed := s.await("to fail to upgrade", upgradeFailed)
		if !strings.Contains(failed.Error, "ended before it was ready") {
			t.Errorf("the reason is %q", failed.Error)
		}
		s.await("to find the address in use", func(e event) bool {
			return e.Msg == "returned" && strings.Contains(e.Error, "address already in use")
		})
		s.echoes(c, "two")
		s.terminate()
		s.endsWell()
	})
}

// A program's own ways to stop it, called by a handler, are graceful stops: what is in flight is finished, they return
// when it is, and the program ends well.
func TestOwnStops(t *testing.T) {
	t.Parallel()
	each(t, func(m method) bool { return len(m.stops) > 0 }, func(t *testing.T, m method) {
		for _, how := range m.stops {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				s := start(t, m, "")
				held := s.hold(s.client())
				resp := s.post(s.client(), "/shutdown?how="+how, http.NoBody)
				if resp == nil {
					return
				}
				drain(t, resp)
				if resp.StatusCode != http.StatusAccepted {
					t.Fatalf("answer %s", resp.Status)
				}
				s.answered(<-held, "held")
				s.leave()
				if e := s.awaitHere("shut down"); e.Error != "" {
					t.Errorf("it returned %s", e.Error)
				}
				s.end()
			})
		}
	})
}

// Where it can't listen, each run method says so at once and names the place.
func TestErrorsNameTheAddress(t *testing.T) {
	t.Parallel()
	taken := proctest.Occupied(t)
	takesAddress := func(m method) bool { return !m.fd && m.env == nil && !m.foreign }
	each(t, takesAddress, func(t *testing.T, m method) {
		address := taken
		place := address[strings.LastIndex(address, ":"):] // the host is not every method's argument
		if m.kind.network == "unix" {
			address = filepath.Join(theSite().dir, "none", "sock")
			place = address
		}
		s := launch(t, m, "", address)
		if s.AwaitEnd() == 0 {
			t.Error("it ended as if nothing were wrong")
		}
		if e := s.last("returned"); !strings.HasPrefix(e.Error, "gracex: ") || !strings.Contains(e.Error, place) {
			t.Errorf("error %q, want gracex: ...%s...", e.Error, place)
		}
	})
}

func upgradeFailed(e event) bool { return strings.HasPrefix(e.Msg, "upgrade failed") }
