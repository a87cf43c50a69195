//go:build unix

package core_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/health"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// expectReady checks what /readyz of the app answers, on a new connection.
func (a *app) expectReady(addr, want string) {
	a.t.Helper()
	c := rawhttp.Dial(a.t, addr)
	defer c.Close()
	c.Ask(health.DefaultReadyPath)
	resp := c.Answer()
	if got := fmt.Sprint(resp.StatusCode, " ", string(resp.Body)); got != want {
		a.t.Errorf("/readyz: %s, want %s", got, want)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		a.t.Errorf("Cache-Control: %q", got)
	}
}

// TestPreStopDelay_ServesAndIsNotReady has a process that accepts and serves in the delay. Before that, a check
// makes it unready, too, and an upgrade knows no delay.
func TestPreStopDelay_ServesAndIsNotReady(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-prestop", "10m", "-pidfile", "pid")
	addr := first.Addrs[0]
	const ready = `200 {"state":"current"}`
	const unready = `503 {"state":"current","failed":[{"check":"file","error":"no space"}]}`
	a.expectReady(addr, ready)
	a.write("down", "no space")
	a.expectReady(addr, unready)
	a.expectLog(`msg="a readiness check fails" generation=0 own_pid=`+itoa(first.PID)+` check=file error="no space"`, 1)
	a.expectReady(addr, unready)
	must(t, os.Remove(a.path("down")))
	a.expectReady(addr, ready)
	a.expectLog("a readiness check passes again", 1)
	if n := a.Log.Count("a readiness check fails"); n != 1 {
		t.Errorf("the log says %d times that the check fails", n)
	}

	must(t, a.upgrade(addr))
	second := a.expect("ready", 1)
	a.expect("end", 0)
	a.expectReady(addr, ready)

	a.signal(second.PID, syscall.SIGTERM)
	a.expectLog("still accepting", 1)
	a.write("down", "nobody asks any more")
	a.expectReady(addr, `503 {"state":"stopping"}`)
	expectAnswers(t, addr)
	a.signal(second.PID, syscall.SIGUSR2) // refused: it stops
	a.expectLog("upgrade refused", 1)
	_, err := os.Stat(a.path("pid"))
	must(t, err)
	a.signal(second.PID, syscall.SIGTERM)
	a.expect("end", 1)
	a.expectGone()
}

func TestPreStopDelay_Ends(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		begun bool   // when it ends
		path  string // is what ends it
		err   string
	}{
		"by broken listeners":                   {true, "/break", "broken by the test"},
		"by closed listeners":                   {true, "/close", ""},
		"before it begins, by broken listeners": {false, "/break", "broken by the test"},
		"before it begins, by closed listeners": {false, "/close", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, "-prestop", "10m")
			if tt.begun {
				a.signal(first.PID, syscall.SIGTERM)
				a.expectLog("still accepting", 1)
			}
			_, _ = get(first.Addrs[0], tt.path)
			if ev := a.expect("end", 0); tt.err == "" && ev.Err != "" || !strings.Contains(ev.Err, tt.err) {
				t.Errorf("it ended with %q, want %q", ev.Err, tt.err)
			}
			a.expectGone()
		})
	}
	t.Run("by itself", func(t *testing.T) {
		t.Parallel()
		const delay = 500 * time.Millisecond
		a, first := serving(t, "-prestop", delay.String())
		began := time.Now()
		a.signal(first.PID, syscall.SIGTERM)
		a.expectLog("msg=draining", 1)
		if took := time.Since(began); took < delay {
			t.Errorf("it stopped accepting after %v", took)
		}
		a.expectGone()
	})
	t.Run("at once for an upgrade, which is given up", func(t *testing.T) {
		t.Parallel()
		a, first := serving(t, "-prestop", "1s")
		a.setMode("wait")
		a.signal(first.PID, syscall.SIGUSR2)
		a.expect("checking", 0)
		a.signal(first.PID, syscall.SIGTERM)
		a.expectLog("still accepting", 1)
		a.expectLog("upgrade given up", 1)
		a.setMode("")
		a.expect("end", 0)
		a.expectGone()
	})
	t.Run("at once in a process that is not ready yet", func(t *testing.T) {
		t.Parallel()
		a := installed(t)
		a.setMode("wait")
		a.start("app", "./app", "-prestop", "10m")
		a.signal(a.expect("checking", 0).PID, syscall.SIGTERM)
		a.expect("end", 0)
		a.expectGone()
	})
}

// TestPreStopDelay_ThirdSignalEndsRequests has the second one end the delay alone.
func TestPreStopDelay_ThirdSignalEndsRequests(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-prestop", "10m")
	c := rawhttp.Dial(t, first.Addrs[0])
	c.Ask("/?d=10m")
	a.expect("handling", 0)
	for n, want := range []string{"still accepting", "the pre-stop delay ends", "the drain is cut short"} {
		a.signal(first.PID, syscall.SIGTERM)
		a.expectLog(want, 1)
		if n == 1 {
			stays(t, c, c.Reader)
		}
	}
	expectText(t, a.expect("end", 0).Err, "1 request on 1 connection")
}
