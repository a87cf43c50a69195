//go:build unix

package spec_test

import (
	"net/http"
	"testing"
)

// A program's own ways to stop it, called by a handler, are graceful stops: what is
// in flight is finished, they return when it is, and the program ends well.
func TestOwnStops(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(m method) bool { return len(m.stops) > 0 }, func(t *testing.T, f framework, m method) {
		for _, how := range m.stops {
			t.Run(how, func(t *testing.T) {
				t.Parallel()
				s := start(t, f, m, "")
				url := m.kind.url(s)
				c := m.kind.client(s)
				other := m.kind.client(s)
				held := s.hold(c, url)
				resp := post(t, other, url+"/shutdown?how="+how, http.NoBody)
				if resp == nil {
					return
				}
				drain(t, resp)
				if resp.StatusCode != http.StatusAccepted {
					t.Fatalf("answer %s", resp.Status)
				}
				expect(t, s, <-held, m.kind.proto, "held")
				c.CloseIdleConnections()
				other.CloseIdleConnections()
				if e := s.awaitHere("shut down"); e.Error != "" {
					t.Errorf("it returned %s", e.Error)
				}
				s.end()
			})
		}
	})
}
