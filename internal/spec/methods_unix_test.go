//go:build unix

package spec_test

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
)

// Each run method serves the whole app in its protocol, hands over while a request
// of that protocol is in flight, again and again, and stops while one is.
func TestRunMethods(t *testing.T) {
	t.Parallel()
	eachMethod(t, upgradable, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "")
		url := m.kind.url(s)
		c := m.kind.client(s)
		for _, sig := range []syscall.Signal{syscall.SIGUSR2, syscall.SIGHUP} {
			expect(t, s, post(t, c, url+"/", strings.NewReader("first")), m.kind.proto, "first")
			before := s.copy()
			held := s.hold(c, url)
			s.upgrade(sig)
			expect(t, before, <-held, m.kind.proto, "held")
			if m.kind.proto == "HTTP/1.1" && !m.kind.moves {
				// The connection is still the old generation's, and its last
				// answer says so.
				resp := post(t, c, url+"/", strings.NewReader("polite"))
				if resp != nil && !resp.Close {
					t.Error("no Connection: close on the connection of the generation that drains")
				}
				expect(t, before, resp, m.kind.proto, "polite")
			}
			// Nothing but a client that was told to go keeps it waiting.
			if end := s.awaitEnd(before.gen); end.Ledger.Idle != 0 {
				t.Errorf("generation %d ended by closing %d idle connections", before.gen, end.Ledger.Idle)
			}
			if !m.kind.moves {
				c.CloseIdleConnections() // which it may not have seen closed yet
			}
			expect(t, s, post(t, c, url+"/", strings.NewReader("second")), m.kind.proto, "second")
			for _, msg := range m.says {
				if e := s.awaitHere(msg); e.Address != "" && e.Address != s.address {
					t.Errorf("%s said %s, want %s", msg, e.Address, s.address)
				}
			}
		}
		if err := (visitor{c, url}).all(s.gen); err != nil {
			t.Error(err)
		}
		if m.kind.moves {
			if n := c.Transport.(*load.Transport).Dials(); n != 1 {
				t.Errorf("%d connections: they do not move with an upgrade", n)
			}
		}
		held := s.hold(c, url)
		s.signal(syscall.SIGTERM)
		expect(t, s, <-held, m.kind.proto, "held")
		c.CloseIdleConnections()
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

func upgradable(m method) bool { return !m.foreign }

// A server that speaks HTTP/2 without TLS answers a client that knows none in
// HTTP/1.1, and one that asks for h2c by Upgrade too.
func TestH2CLeavesHTTP1(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(m method) bool { return m.kind == h2c }, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "")
		c := plain.client(s)
		url := plain.url(s) + "/"
		expect(t, s, post(t, c, url, strings.NewReader("plain")), "HTTP/1.1", "plain")

		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("upgrade"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade, HTTP2-Settings")
		req.Header.Set("Upgrade", "h2c")
		req.Header.Set("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, s, resp, "HTTP/1.1", "upgrade")
		c.CloseIdleConnections()
		s.stop()
	})
}

// A listener from net.Listen serves, and what is documented about upgrades holds:
// the next generation's own net.Listen fails, and this one serves on.
func TestForeignListener(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(m method) bool { return m.foreign }, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "")
		c := m.kind.client(s)
		url := m.kind.url(s) + "/"
		expect(t, s, post(t, c, url, strings.NewReader("one")), "HTTP/1.1", "one")
		s.signal(syscall.SIGUSR2)
		failed := s.await("to fail to upgrade", upgradeFailed)
		if !strings.Contains(failed.Error, "ended before it was ready") {
			t.Errorf("the reason is %q", failed.Error)
		}
		s.await("to find the address in use", func(e event) bool {
			return e.Msg == "returned" && strings.Contains(e.Error, "address already in use")
		})
		expect(t, s, post(t, c, url, strings.NewReader("two")), "HTTP/1.1", "two")
		c.CloseIdleConnections()
		s.signal(syscall.SIGTERM)
		s.endsWell()
	})
}

func upgradeFailed(e event) bool { return strings.HasPrefix(e.Msg, "upgrade failed") }
