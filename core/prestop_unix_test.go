//go:build unix

package core_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// ready returns what /readyz of the app answers, on a new connection.
func (a *app) ready(addr string) string {
	a.t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr + core.DefaultReadyPath)
	must(a.t, err)
	defer resp.Body.Close()
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		a.t.Errorf("Cache-Control: %q", got)
	}
	b, err := io.ReadAll(resp.Body)
	must(a.t, err)
	return fmt.Sprint(resp.StatusCode, " ", string(b))
}

func (a *app) expectReady(addr, want string) {
	a.t.Helper()
	if got := a.ready(addr); got != want {
		a.t.Errorf("/readyz: %s, want %s", got, want)
	}
}

// In the pre-stop delay the process accepts and serves and is not ready; a check
// makes it so too.
func TestPreStopDelay(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-prestop", "10m", "-pidfile", "pid")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]
	a.expectReady(addr, `200 {"state":"current"}`)
	must(t, os.WriteFile(filepath.Join(a.dir, "down"), []byte("no space"), 0o644))
	a.expectReady(addr, `503 {"state":"current","failed":[{"check":"file","error":"no space"}]}`)
	a.expectLog(`msg="a readiness check fails" generation=0 pid=`+itoa(first.PID)+` check=file error="no space"`, 1)
	a.expectReady(addr, `503 {"state":"current","failed":[{"check":"file","error":"no space"}]}`)
	must(t, os.Remove(filepath.Join(a.dir, "down")))
	a.expectReady(addr, `200 {"state":"current"}`)
	a.expectLog("a readiness check passes again", 1)
	if n := strings.Count(a.log(), "a readiness check fails"); n != 1 {
		t.Errorf("the log says %d times that the check fails", n)
	}

	// An upgrade knows no delay.
	if err := a.upgrade(addr); err != nil {
		t.Fatal(err)
	}
	second := a.expect("ready", 1)
	a.expect("end", 0)
	a.expectReady(addr, `200 {"state":"current"}`)

	a.signal(second.PID, syscall.SIGTERM)
	a.expectLog("still accepting", 1)
	must(t, os.WriteFile(filepath.Join(a.dir, "down"), []byte("nobody asks any more"), 0o644))
	a.expectReady(addr, `503 {"state":"stopping"}`)
	if _, err := get(addr, "/"); err != nil {
		t.Errorf("in the delay: %v", err)
	}
	a.signal(second.PID, syscall.SIGUSR2) // refused: it stops
	a.expectLog("upgrade refused", 1)
	if _, err := os.Stat(filepath.Join(a.dir, "pid")); err != nil {
		t.Errorf("in the delay: %v", err)
	}
	a.signal(second.PID, syscall.SIGTERM)
	a.expect("end", 1)
	a.expectGone()
}

// The delay takes as long as it is to, and ends by itself.
func TestPreStopDelayPasses(t *testing.T) {
	t.Parallel()
	const delay = 500 * time.Millisecond
	a := start(t, "app", "-prestop", delay.String())
	first := a.expect("ready", 0)
	began := time.Now()
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("msg=draining", 1)
	if took := time.Since(began); took < delay {
		t.Errorf("it stopped accepting after %v", took)
	}
	a.expectGone()
}

// A second stop signal does not wait, and nothing waits that can't go on: a process
// whose listeners are broken or closed, or that was not ready yet.
func TestPreStopDelayEnds(t *testing.T) {
	t.Parallel()
	stop := func(a *app, first event) { a.signal(first.PID, syscall.SIGTERM) }
	stopAnd := func(then func(a *app, first event)) func(a *app, first event) {
		return func(a *app, first event) {
			stop(a, first)
			a.expectLog("still accepting", 1)
			then(a, first)
		}
	}
	ask := func(path string) func(*app, event) {
		return func(_ *app, first event) { _, _ = get(first.Addrs[0], path) }
	}
	for name, tt := range map[string]struct {
		end func(a *app, first event)
		err string
	}{
		"second signal":      {end: stopAnd(stop)},
		"broken in it":       {end: stopAnd(ask("/break")), err: "broken by the test"},
		"closed in it":       {end: stopAnd(ask("/close"))},
		"broken without one": {end: ask("/break"), err: "broken by the test"},
		"closed without one": {end: ask("/close")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", "-prestop", "10m")
			tt.end(a, a.expect("ready", 0))
			if ev := a.expect("end", 0); tt.err == "" && ev.Err != "" || !strings.Contains(ev.Err, tt.err) {
				t.Errorf("it ended with %q, want %q", ev.Err, tt.err)
			}
			a.expectGone()
		})
	}
}

// The second signal ends the delay and no request; the third one does.
func TestPreStopDelayThirdSignal(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-prestop", "10m")
	first := a.expect("ready", 0)
	c, r := dial(t, first.Addrs[0], "/?d=10m")
	defer c.Close()
	a.expect("handling", 0)
	for n, want := range []string{"still accepting", "the pre-stop delay ends", "the drain is cut short"} {
		a.signal(first.PID, syscall.SIGTERM)
		a.expectLog(want, 1)
		if n == 1 {
			stays(t, c, r)
		}
	}
	if ev := a.expect("end", 0); !strings.Contains(ev.Err, "1 request on 1 connection") {
		t.Errorf("it ended with %q", ev.Err)
	}
}

// A process that is not ready yet has nothing to wait for.
func TestPreStopDelayBeforeReady(t *testing.T) {
	t.Parallel()
	a := prepare(t)
	install(t, filepath.Join(a.dir, "app"))
	a.setMode("wait")
	a.start("app", "./app", "-prestop", "10m")
	a.signal(a.expect("checking", 0).PID, syscall.SIGTERM)
	a.expect("end", 0)
	a.expectGone()
}

// An upgrade that runs is given up at once.
func TestPreStopDelayGivesUpAnUpgrade(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-prestop", "1s")
	first := a.expect("ready", 0)
	a.setMode("wait")
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("checking", 0)
	a.signal(first.PID, syscall.SIGTERM)
	a.expectLog("still accepting", 1)
	a.expectLog("upgrade given up", 1)
	a.setMode("")
	a.expect("end", 0)
	a.expectGone()
}
