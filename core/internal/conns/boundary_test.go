package conns

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestIdleTime_IsFromTheDeadline: before the drain nobody asks the clock since when a connection is idle. The
// deadline that net/http sets tells: who is closed first, and how long the next generation still waits.
func TestIdleTime_IsFromTheDeadline(t *testing.T) {
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
				s := newBareServer(t, tt.user)
				var asked []Waiting
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
					if got := c.(*Conn).description().IdleMillis; got != want.Milliseconds() {
						t.Errorf("number %d is idle for %d ms, want %d", i+1, got, want.Milliseconds())
					}
				}
				got := s.table.Quiet()
				if len(got) != len(asked) || tt.told && !slices.Equal(got, asked) {
					t.Errorf("longest idle first: %v, want %v", got, asked)
				}
			})
		})
	}
}

// bareServer serves connections of a table, and nothing else is around it.
type bareServer struct {
	table *Table
	side  *Side
	inner *http.Server
}

func newBareServer(t *testing.T, inner *http.Server) *bareServer {
	t.Helper()
	over := make(chan struct{})
	s := &bareServer{table: NewTable(nil), inner: inner, side: &Side{HTTP: inner, From: &Origin{Network: "tcp", Address: "here"}, Adopted: make(chan *Conn), Over: over}}
	inner.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(s).(*Conn)
		c.Answered(c.Begins(r))
	})
	inner.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		s.table.Serve(nc.(*Conn))
		return context.WithValue(ctx, s, nc)
	}
	inner.ConnState = func(nc net.Conn, st http.ConnState) {
		if own, ok := FromHTTP(st); ok && own != New {
			nc.(*Conn).SetState(own)
		}
	}
	go func() { _ = inner.Serve(s) }()
	t.Cleanup(func() {
		close(over)
		_ = inner.Close()
	})
	return s
}

// Accept is net/http's.
func (s *bareServer) Accept() (net.Conn, error) {
	select {
	case c := <-s.side.Adopted:
		return c, nil
	case <-s.side.Over:
		return nil, net.ErrClosed
	}
}

func (s *bareServer) Close() error   { return nil }
func (s *bareServer) Addr() net.Addr { return &net.TCPAddr{} }

// answersOnce makes a connection and has it carry a request.
func (s *bareServer) answersOnce(t *testing.T) *Conn {
	t.Helper()
	client, nc := net.Pipe() // its deadlines are the bubble's
	t.Cleanup(func() { client.Close() })
	c := s.table.Track(nc, s.side.From, New)
	c.BelongsTo(s.side)
	s.side.Adopted <- c
	must.Get(io.WriteString(client, "GET / HTTP/1.1\r\nHost: app\r\n\r\n"))(t)
	resp := must.Get(http.ReadResponse(bufio.NewReader(client), nil))(t)
	_ = resp.Body.Close()
	return c
}
