//go:build unix

package core

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
)

// ready returns what /readyz of the app answers, on a new connection.
func (a *app) ready(addr string) string {
	a.t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr + DefaultReadyPath)
	must(a.t, err)
	defer resp.Body.Close()
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
	const delay = 2 * time.Second
	a := start(t, "app", "-prestop", delay.String(), "-pidfile", "pid")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]
	a.expectReady(addr, `200 {"state":"current"}`)
	must(t, os.WriteFile(filepath.Join(a.dir, "down"), []byte("no space"), 0o644))
	a.expectReady(addr, `503 {"state":"current","failed":[{"check":"file","error":"no space"}]}`)
	must(t, os.Remove(filepath.Join(a.dir, "down")))

	// An upgrade knows no delay.
	if err := a.upgrade(addr); err != nil {
		t.Fatal(err)
	}
	second := a.expect("ready", 1)
	a.expect("end", 0)
	a.expectReady(addr, `200 {"state":"current"}`)

	began := time.Now()
	a.signal(second.PID, syscall.SIGTERM)
	a.expectLog("still accepting", 1)
	a.expectReady(addr, `503 {"state":"stopping"}`)
	if _, err := get(addr, "/"); err != nil {
		t.Errorf("in the delay: %v", err)
	}
	a.signal(second.PID, syscall.SIGUSR2) // refused: it stops
	a.expectLog("upgrade refused", 1)
	if _, err := os.Stat(filepath.Join(a.dir, "pid")); err != nil {
		t.Errorf("in the delay: %v", err)
	}
	a.expect("end", 1)
	if took := time.Since(began); took < delay {
		t.Errorf("it stopped accepting after %v", took)
	}
	a.expectGone()
}

// A second stop does not wait, and neither does a process whose listener is broken.
func TestPreStopDelayEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(a *app, first event){
		"second signal": func(a *app, first event) { a.signal(first.PID, syscall.SIGTERM) },
		"broken":        func(_ *app, first event) { _, _ = get(first.Addrs[0], "/break") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", "-prestop", "10m")
			first := a.expect("ready", 0)
			a.signal(first.PID, syscall.SIGTERM)
			a.expectLog("still accepting", 1)
			end(a, first)
			ev := a.expect("end", 0)
			if broken := strings.Contains(ev.Err, "broken by the test"); broken != (name == "broken") {
				t.Errorf("it ended with %q", ev.Err)
			}
			a.expectGone()
		})
	}
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
