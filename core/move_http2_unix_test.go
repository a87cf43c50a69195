//go:build unix

package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// netHTTPClients are clients of net/http's that speak HTTP/2 in the clear. Their requests have bodies that nobody can
// send again.
type netHTTPClients struct {
	t     testing.TB
	addr  string
	dials atomic.Int64 // of connections
	count atomic.Int64 // of answers
	over  atomic.Bool
	wg    sync.WaitGroup
}

// run asks from that many goroutines over each of the transports, until stop.
func (c *netHTTPClients) run(transports, each int, think time.Duration) {
	for range transports {
		tr := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}
		tr.Protocols.SetUnencryptedHTTP2(true)
		c.t.Cleanup(tr.CloseIdleConnections)
		cl := &http.Client{Transport: tr, Timeout: patience}
		c.ask(cl, 0) // else it dials for each of the first requests
		for range each {
			c.wg.Go(func() {
				for i := 0; !c.over.Load(); i++ {
					if !c.ask(cl, i) {
						return
					}
					time.Sleep(think)
				}
			})
		}
	}
}

// ask sends a request: a GET, or a POST with a body from a stream.
func (c *netHTTPClients) ask(cl *http.Client, i int) bool {
	body := strings.Repeat(strconv.Itoa(i%10), 100*(1+i%50))
	method, in := http.MethodPost, io.Reader(struct{ io.Reader }{strings.NewReader(body)})
	if i%3 == 0 {
		method, in, body = http.MethodGet, nil, ""
	}
	r, err := http.NewRequest(method, "http://"+c.addr+"/", in)
	if err == nil {
		var resp *http.Response
		if resp, err = cl.Do(r); err == nil {
			var got []byte
			got, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && (resp.StatusCode != http.StatusOK || string(got) != body) {
				err = fmt.Errorf("%s, %d bytes for %d", resp.Status, len(got), len(body))
			}
		}
	}
	if err != nil {
		c.t.Errorf("%s: %v", method, err)
		return false
	}
	c.count.Add(1)
	return true
}

func (c *netHTTPClients) stop() {
	c.over.Store(true)
	c.wg.Wait()
}

// TestMove_HTTP2ClientsNoticeNothing: net/http's, and one that never repeats anything. One of the upgrades is rolled
// back.
func TestMove_HTTP2ClientsNoticeNothing(t *testing.T) {
	t.Parallel()
	upgrades := 4
	if n, err := strconv.Atoi(os.Getenv("CORE_TEST_HTTP2_UPGRADES")); err == nil { // a long form
		upgrades = n
	}
	a := installed(t)
	a.start("app", "./app", "-h2c", "-probation", "200ms", "-maxdraining", "100")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]
	many, one := &netHTTPClients{t: t, addr: addr}, &netHTTPClients{t: t, addr: addr}
	many.run(8, 1, time.Millisecond)
	one.run(1, 32, 5*time.Millisecond)
	raw := load.Start(load.Config{Addr: addr, HTTP2: true, Streams: 4, Clients: 8, Chunked: true, BodySize: 2000, Timeout: patience})
	uploads := load.Start(load.Config{Addr: addr, HTTP2: true, Streams: 4, Clients: 2, Chunked: true, BodySize: 300_000, Timeout: patience})
	goesOn := func() {
		t.Helper()
		for name, count := range map[string]func() int64{
			"8 transports": many.count.Load, "32 requests at once": one.count.Load,
			"4 streams on 8 connections": func() int64 { return int64(raw.Snapshot().Requests) },
			"4 uploads on 2 connections": func() int64 { return int64(uploads.Snapshot().Requests) },
		} {
			want := count() + 50
			proctest.Await(t, name+" go on", func() bool { return count() >= want })
		}
	}
	a.upgradeWithARollback(first, upgrades, goesOn)
	many.stop()
	one.stop()
	res, large := expectLossless(t, raw), expectLossless(t, uploads)
	t.Log(many.count.Load(), "and", one.count.Load(), "answers to net/http's clients")
	if many.dials.Load() != 8 || one.dials.Load() != 1 || res.Connects != 8 || large.Connects != 2 {
		t.Errorf("%d, %d, %d and %d connections, not 8, 1, 8 and 2", many.dials.Load(), one.dials.Load(), res.Connects, large.Connects)
	}
	if n := strings.Count(a.log(), "stayed_http2_streams=0 ledger.stayed_http2_refused=0 ledger.stayed_http2_other=0"); n < upgrades {
		t.Errorf("connections stayed: %d of the processes say none did", n)
	}
	expectAgreement(a)
}

// TestMove_HTTP2ThatStays is asked to leave in two steps, and told no last stream that it has not opened.
func TestMove_HTTP2ThatStays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ mode, drain, open, stays string }{
		"the new version has smaller settings": {mode: "fewstreams", stays: "stayed_http2_refused=1"},
		"a stream does not end":                {drain: "2s", open: "1", stays: "stayed_http2_streams=1"},
		"switched off in the new process":      {mode: "nohandoff", stays: "moved_http2=0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := installed(t)
			if tt.drain != "" {
				a.write("drain", tt.drain)
			}
			a.start("app", "./app", "-h2c")
			first := a.expect("ready", 0)
			c := rawhttp.DialHTTP2(t, first.Addrs[0], nil)
			c.Ask(1)
			c.Answered(1)
			last := uint32(1)
			if tt.open != "" {
				last = 3
				c.Open(last)
				expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.Open.Requests == 2 })
			}
			a.setMode(tt.mode)
			a.next(first)
			c.Pong(c.ToldToLeave())
			c.ToldTheLast(last)
			if tt.open != "" {
				c.End(last, "end")
				c.Answered(last)
			}
			must(t, c.Close())
			a.endsWell(0)
			a.expectLog("ledger."+tt.stays, 1)
		})
	}
}

// TestMove_ParkedHTTP2 has no server, and leaves as one that has: at a stop, and when it has been idle for too long.
func TestMove_ParkedHTTP2(t *testing.T) {
	t.Parallel()
	parked := func(t *testing.T, idle string) (*app, *rawhttp.HTTP2) {
		a := installed(t)
		if idle != "" {
			a.write("idle", idle)
		}
		a.start("app", "./app", "-h2c")
		c := rawhttp.DialHTTP2(t, a.expect("ready", 0).Addrs[0], nil)
		c.Ask(1)
		c.Answered(1)
		upgrade1(a, 0)
		return a, c
	}
	leaves := func(c *rawhttp.HTTP2) {
		c.Pong(c.ToldToLeave())
		c.ToldTheLast(1)
		must(t, c.Close())
	}
	t.Run("a stop", func(t *testing.T) {
		t.Parallel()
		a, c := parked(t, "")
		a.signal(a.expect("ready", 1).PID, syscall.SIGTERM)
		leaves(c)
		a.expectGone()
	})
	t.Run("idle for too long", func(t *testing.T) {
		t.Parallel()
		_, c := parked(t, "1s")
		leaves(c)
	})
}

// TestMove_HTTP2HistoryIsNobodysBusiness: ConnState and ConnContext see a connection that has moved as a new one.
func TestMove_HTTP2HistoryIsNobodysBusiness(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-h2c", "-hooks")
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	var before, after connInfo
	ask := func(info *connInfo) {
		t.Helper()
		resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("http://" + first.Addrs[0] + "/conn")
		must(t, err)
		must(t, json.NewDecoder(resp.Body).Decode(info))
		must(t, resp.Body.Close())
	}
	ask(&before)
	upgrade1(a, 0)
	ask(&after)
	if fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%+v, and %+v before", after, before)
	}
	if l := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); l.Served > 2 {
		t.Errorf("ledger %+v", l)
	}
}

// TestMove_HTTP2ToAProgramThatForgets has a ConnContext that drops what it is given: its requests can't be followed, and
// none of them is taken for the history.
func TestMove_HTTP2ToAProgramThatForgets(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-h2c")
	c := rawhttp.DialHTTP2(t, first.Addrs[0], nil)
	c.Ask(1)
	c.Answered(1)
	a.setMode("forget")
	upgrade1(a, 0)
	c.Open(3)
	c.End(3, "echo")
	c.Open(5)
	c.End(5, "twice")
	if answers := c.Answers(3, 5); answers[3] != "echo" || answers[5] != "twice" {
		t.Errorf("answers %q", answers)
	}
	a.signal(a.expect("ready", 1).PID, syscall.SIGUSR2)
	c.Pong(c.ToldToLeave())
	c.ToldTheLast(5)
	must(t, c.Close())
	a.endsWell(1)
}
