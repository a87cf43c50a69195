//go:build unix

package core_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// badClients connect to addr and stay. They say nothing or a part of a head, or read nothing of an endless answer.
func badClients(t *testing.T, addr string) {
	t.Helper()
	for range 20 {
		for _, said := range []string{"", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", "GET /download?size=65536 HTTP/1.1\r\nHost: a\r\n\r\n"} {
			rawhttp.Dial(t, addr).Send(said)
		}
	}
}

// abruptClients come and go until stop is called: one resets its connections, in the middle of a request or not, and
// one closes its side of them before it has the answer.
func abruptClients(t *testing.T, addr string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	const request = "GET /?d=20ms HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	each := func(client func(c *net.TCPConn, n int)) func() {
		return func() {
			for n := 0; ; n++ {
				select {
				case <-ctx.Done():
					return
				case <-time.After(2 * time.Millisecond):
				}
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = c.SetDeadline(time.Now().Add(patience))
				client(c.(*net.TCPConn), n)
				c.Close()
			}
		}
	}
	var wg sync.WaitGroup
	wg.Go(each(func(c *net.TCPConn, n int) {
		_, _ = io.WriteString(c, request[:n%(len(request)+1)])
		_ = c.SetLinger(0)
	}))
	wg.Go(each(func(c *net.TCPConn, _ int) {
		_, _ = io.WriteString(c, request)
		_ = c.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 OK\r\n") {
			t.Errorf("the answer to a client that has closed its side: %q, %v", got, err)
		}
	}))
	stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// TestUpgrade_BadClientsHarmNoOthers: those that ask as they should lose nothing, those that are idle keep their
// connections, and each old process ends at the deadline of its drain.
func TestUpgrade_BadClientsHarmNoOthers(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-drain", "8s", "-probation", "0")
	addr := first.Addrs[0]
	idle := make([]*rawhttp.Client, 200)
	for i := range idle {
		idle[i] = answered(t, addr, "/")
	}
	stop := abruptClients(t, addr)
	run := load.Start(load.Config{Addr: addr, Clients: 4, Think: 5 * time.Millisecond})
	last := first
	for range 2 {
		badClients(t, addr)
		last = a.next(last)
		awaitServed(t, run, load.Server{PID: itoa(last.PID), Generation: itoa(last.Gen)})
	}
	for i := range 2 {
		a.endsWell(i)
	}
	stop()
	if res := expectLossless(t, run); res.Reconnects > 0 {
		t.Errorf("%d well-behaved clients had to connect again", res.Reconnects)
	}
	for _, c := range idle {
		c.Ask("/")
		if got := c.Answer().Header.Get("X-Pid"); got != itoa(last.PID) {
			t.Errorf("process %s answers, want %d", got, last.PID)
		}
	}
	a.stopAll(last.PID)
}
