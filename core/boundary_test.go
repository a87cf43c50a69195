package core

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestIdleTimeFromTheDeadline: before the drain nobody asks the clock since when a
// connection is idle. The deadline that net/http sets tells: who is closed first, and
// how long the next generation still waits.
func TestIdleTimeFromTheDeadline(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		user *http.Server
		told bool
	}{
		"IdleTimeout":            {&http.Server{IdleTimeout: time.Hour}, true},
		"ReadTimeout":            {&http.Server{ReadTimeout: time.Hour}, true},
		"IdleTimeout goes first": {&http.Server{IdleTimeout: time.Hour, ReadTimeout: 2 * time.Hour}, true},
		"none":                   {&http.Server{}, false}, // and it does not matter
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := bareServer(t, tt.user)
				var asked []*conn
				for range 4 {
					time.Sleep(time.Minute)
					asked = append(asked, s.answersOnce(t))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				for i, c := range asked {
					want := time.Duration(len(asked)-i) * time.Minute
					if !tt.told {
						want = 0
					}
					if got := c.description().IdleMillis; got != want.Milliseconds() {
						t.Errorf("number %d is idle for %d ms, want %d", i+1, got, want.Milliseconds())
					}
				}
				got := s.u.conns.quiet()
				if len(got) != len(asked) || tt.told && !slices.Equal(got, asked) {
					t.Errorf("longest idle first: %v, want %v", got, asked)
				}
			})
		})
	}
}

// bareServer serves user with nothing around it. Its connections come from adopted.
func bareServer(t *testing.T, user *http.Server) *server {
	t.Helper()
	user.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	u := &Upgrader{conns: newConnTable(nil), phase: newPhase()}
	close(u.phase.accepting)
	s := &server{u: u, user: user, base: t.Context()}
	s.inner = s.newInner()
	s.side = s.newSide()
	go func() { _ = s.inner.Serve((*adoption)(s)) }()
	t.Cleanup(func() {
		close(u.phase.finished)
		_ = s.inner.Close()
	})
	return s
}

// answersOnce makes a connection and has it carry a request.
func (s *server) answersOnce(t *testing.T) *conn {
	t.Helper()
	client, nc := net.Pipe() // its deadlines are the bubble's
	t.Cleanup(func() { client.Close() })
	c := s.u.conns.track(nc, &origin{network: "tcp", address: "here"}, connNew)
	c.side.Store(s.side)
	s.side.adopted <- c
	_, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: app\r\n\r\n")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(client), nil)
	must(t, err)
	must(t, resp.Body.Close())
	return c
}
