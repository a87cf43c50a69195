//go:build unix

package core_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// onProbation starts an app with load on it and an upgrade whose new process is on
// probation, for so long that no test sees its end.
func onProbation(t *testing.T, args ...string) (a *app, run *load.Run, first, second event) {
	t.Helper()
	a = start(t, "app", append([]string{"-pidfile", "app.pid", "-probation", "4m"}, args...)...)
	first = a.expect("ready", 0)
	run = startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 20, Fresh: 8}).Run
	a.signal(first.PID, syscall.SIGUSR2)
	second = a.expect("ready", 1)
	if pid := pidIn(t, a, first.PID); pid != second.PID {
		t.Errorf("the pid file names %d on probation, want %d", pid, second.PID)
	}
	return a, run, first, second
}

// rolledBack checks that the old process serves again, and that the next upgrade works.
func rolledBack(t *testing.T, a *app, first, second event, why string) {
	t.Helper()
	a.expectLog("upgrade rolled back; this process serves again", 1)
	a.expectLog(why, 1)
	if pid := pidIn(t, a, second.PID); pid != first.PID {
		t.Errorf("the pid file names %d after a rollback, want %d", pid, first.PID)
	}
	awaitStats(t, first.Addrs[0], func(st core.Ledger) bool { return st.PID == first.PID && st.State == core.StateCurrent })
	mend(t, a)
	a.signal(first.PID, syscall.SIGUSR2)
	third := a.expect("ready", 2)
	if third.Gen != 1 {
		t.Errorf("generation %d comes after a rolled back one, want 1", third.Gen)
	}
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	a.expectLog("msg=upgraded", 1)
}

// TestRollBackLosesNothing: a new process that is alive and is found bad finishes what
// it has, and the old one accepts again.
func TestRollBackLosesNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, a *app, addr string)
		why   string
	}{
		"ready check": {func(t *testing.T, a *app, _ string) { behave("check")(t, a) }, "it rejected itself: ready check: no database"},
		"reject": {func(t *testing.T, a *app, addr string) {
			if err := a.call(addr, "/reject?why=bad+cache"); err == nil || err.Error() != "<nil>" {
				t.Errorf("Reject = %v", err)
			}
		}, "it rejected itself: bad cache"},
		"broken listener": {func(t *testing.T, a *app, addr string) { _ = a.call(addr, "/break") }, "it rejected itself: broken by the test"},
		"hung up":         {func(t *testing.T, a *app, addr string) { _ = a.call(addr, "/hangup") }, "it closed the handover socket on probation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			probation := "4m"
			if name == "ready check" {
				probation = "4s" // it is checked each quarter of that
			}
			a, run, first, second := onProbation(t, "-probation", probation)
			tt.spoil(t, a, first.Addrs[0])
			rolledBack(t, a, first, second, tt.why)
			if ev := a.expect("end", 0); ev.PID != second.PID || !strings.Contains(ev.Err, core.ErrAborted.Error()) && name != "hung up" {
				t.Errorf("the new process ended: %+v", ev)
			}
			res := run.Stop()
			t.Log(res)
			if res.Failed != 0 || res.Requests == 0 {
				t.Errorf("%d of %d requests failed", res.Failed, res.Requests)
			}
		})
	}
}

// TestRollBackAfterDeath: of a new process that dies, or has to be killed, only what
// ran inside it is lost: one request on each connection that it had.
func TestRollBackAfterDeath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		sig   syscall.Signal
		share string
		kept  int // how many connections move at the least
		most  int // and at the most: the share, rounded up, of 20, 8 and one of the test's
		why   string
	}{
		"killed":           {syscall.SIGKILL, "0.1", 1, 3, "it ended on probation (signal: killed after "},
		"killed, no share": {syscall.SIGKILL, "0", 0, 0, "it ended on probation"},
		"stopped":          {syscall.SIGSTOP, "0.1", 1, 3, "it did not answer for 5s on probation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, run, first, second := onProbation(t, "-share", tt.share)
			moved := adopted(t, first.Addrs[0], tt.kept)
			if moved > tt.most {
				t.Errorf("%d connections moved", moved)
			}
			if tt.sig == syscall.SIGSTOP {
				a.freeze(second.PID)
			} else {
				a.signal(second.PID, tt.sig)
			}
			rolledBack(t, a, first, second, tt.why)
			res := run.Stop()
			t.Log(res)
			kept, fresh := 0, 0
			for _, err := range res.Errors {
				var failed *load.RequestError
				if errors.As(err, &failed) && failed.Client < 20 {
					kept++
				} else {
					fresh++
				}
			}
			if kept > tt.most || fresh > 8 {
				t.Errorf("%d on kept connections and %d on fresh ones failed", kept, fresh)
			}
		})
	}
}

// adopted waits until the new process has n connections of the old one's, or some more:
// those that the test asks on are among them.
func adopted(t *testing.T, addr string, n int) int {
	t.Helper()
	return int(awaitStats(t, addr, func(st core.Ledger) bool { return st.Generation == 1 && int(st.Adopted) >= n }).Adopted)
}

// awaitStats asks until the answer is as wanted.
func awaitStats(t *testing.T, addr string, want func(core.Ledger) bool) (st core.Ledger) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if st = getJSON[core.Ledger](t, addr, "/stats"); want(st) {
			return st
		}
	}
	t.Errorf("not what was waited for: %+v", st)
	return st
}

// TestCrashAfterReady: a version that crashes a second after ready, again and again.
func TestCrashAfterReady(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m", "-share", "0")
	first := a.expect("ready", 0)
	run := startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 16})
	crashed := regexp.MustCompile(`exit status 2 after \d`)
	a.setMode("crashlater")
	for i := range 3 {
		err := a.upgrade(first.Addrs[0])
		if err == nil || !strings.Contains(err.Error(), core.ErrRolledBack.Error()) || !crashed.MatchString(err.Error()) {
			t.Errorf("upgrade = %v", err)
		}
		a.expect("ready", i+1)
	}
	if res := run.Stop(); res.Failed != 0 || len(res.Served) != 1 {
		t.Errorf("with no share: %v", res)
	}
}

// TestProbationPasses: the share moves at once, and the rest when the probation is over.
func TestProbationPasses(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "500ms", "-share", "0.25")
	first := a.expect("ready", 0)
	addr := first.Addrs[0]
	run := startKept(t, first.PID, load.Config{Addr: addr, Clients: 16})
	upgraded := make(chan error, 1)
	go func() { upgraded <- a.upgrade(addr) }()
	a.expect("ready", 1)
	adopted(t, addr, 4)
	must(t, <-upgraded)
	adopted(t, addr, 16)
	a.expect("end", 0)
	res := run.Stop()
	t.Log(res)
	if res.Failed != 0 || res.Connects != 16 {
		t.Errorf("%v", res)
	}
}

// TestShareIsOfKept: the share is of the connections that can move.
func TestShareIsOfKept(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m", "-share", "0.1")
	first := a.expect("ready", 0)
	for range 50 {
		c := rawhttp.Dial(t, first.Addrs[0])
		c.Send("GET /hijack HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\n")
		if _, err := http.ReadResponse(c.Reader, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		c := rawhttp.Dial(t, first.Addrs[0])
		c.Ask("/")
		c.Answer()
	}
	a.signal(first.PID, syscall.SIGUSR2)
	a.expect("ready", 1)
	if n := adopted(t, first.Addrs[0], 1); n != 1 {
		t.Errorf("%d connections moved, want 1", n)
	}
}

// TestSignalStorm: signals in the middle of an upgrade, on probation or not, lead to one
// more, whichever process they are for.
func TestSignalStorm(t *testing.T) {
	t.Parallel()
	for _, probation := range []string{"0", "2s"} { // which is longer than the storm
		t.Run(probation, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", "-probation", probation, "-pidfile", "app.pid")
			first := a.expect("ready", 0)
			a.setMode("wait") // the first upgrade is in progress for as long as the storm lasts
			a.signal(first.PID, syscall.SIGHUP)
			a.expect("checking", 0)
			for i := range 50 {
				if i == 25 && probation != "0" { // the rest comes on probation
					a.expectLog("signal: upgrade", 2)
					a.setMode("")
					a.expectLog("on probation", 1)
				}
				a.signal(first.PID, syscall.SIGHUP)
				time.Sleep(2 * time.Millisecond) // 50 in 100 ms
			}
			a.expectLog("signal: upgrade", 2)
			a.setMode("")
			third := a.expect("ready", 2)
			a.expectLog("msg=upgraded", 2)
			a.expect("end", 1)
			if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != third.PID || st.State != core.StateCurrent || st.Generation != 2 {
				t.Errorf("%+v", st)
			}
			for _, bad := range []string{"upgrade failed", "rolled back", "level=ERROR"} {
				if strings.Contains(a.log(), bad) {
					t.Errorf("the log says %q", bad)
				}
			}
		})
	}
}

// TestAgainOnProbation: a signal to the new process, which the pid file names, is done
// once the probation is over: by itself, or after a rollback by the old one.
func TestAgainOnProbation(t *testing.T) {
	t.Parallel()
	t.Run("passed", func(t *testing.T) {
		t.Parallel()
		a, run, first, second := onProbation(t)
		a.signal(second.PID, syscall.SIGHUP)
		a.expectLog("one more follows it", 1) // before it is over
		if err := a.upgrade(first.Addrs[0]); err == nil || !strings.Contains(err.Error(), core.ErrInProgress.Error()) {
			t.Errorf("upgrade = %v", err)
		}
		a.signal(first.PID, syscall.SIGTERM)
		if third := a.expect("ready", 2); third.Gen != 2 {
			t.Errorf("%+v", third)
		}
		a.signal(second.PID, syscall.SIGTERM)
		a.expect("end", 1)
		if res := run.Stop(); res.Failed != 0 {
			t.Error(res)
		}
	})
	t.Run("rolled back", func(t *testing.T) {
		t.Parallel()
		a, run, first, second := onProbation(t)
		a.signal(second.PID, syscall.SIGHUP)
		a.expectLog("one more follows it", 1) // before it is over
		if err := a.upgrade(first.Addrs[0]); err == nil {
			t.Error("no refusal")
		}
		_ = a.call(first.Addrs[0], "/reject?why=no+good")
		if third := a.expect("ready", 2); third.Gen != 1 {
			t.Errorf("%+v", third)
		}
		if res := run.Stop(); res.Failed != 0 {
			t.Error(res)
		}
	})
}

// TestStopOnProbation: the service ends with a stop of the new process, or of both, and
// goes on after one of the old process alone.
func TestStopOnProbation(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]struct{ old, new bool }{"new": {new: true}, "both": {true, true}, "old": {old: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := start(t, "app", "-probation", "4m", "-pidfile", "app.pid")
			first := a.expect("ready", 0)
			a.signal(first.PID, syscall.SIGUSR2)
			second := a.expect("ready", 1)
			if who.old {
				a.signal(first.PID, syscall.SIGTERM)
			}
			if who.new {
				a.signal(second.PID, syscall.SIGTERM)
			}
			if name == "old" {
				a.expectLog("msg=upgraded", 1)
				if end := a.expect("end", 0); end.PID != first.PID || end.Err != "" {
					t.Errorf("%+v", end)
				}
				if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != second.PID {
					t.Errorf("%+v", st)
				}
				return
			}
			a.expectGone()
			for i := range 2 {
				if end := a.expect("end", i); end.Err != "" {
					t.Errorf("%+v", end)
				}
			}
			if _, err := os.Stat(filepath.Join(a.dir, "app.pid")); err == nil {
				t.Error("the pid file is left")
			}
		})
	}
}

// TestOldDiesOnProbation: the new process serves alone, and can be upgraded.
func TestOldDiesOnProbation(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m", "-share", "1")
	first := a.expect("ready", 0)
	run := startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 8})
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	run.await(t, second.PID)
	a.signal(first.PID, syscall.SIGKILL)
	a.expectLog("there is no way back any more", 1)
	a.signal(second.PID, syscall.SIGUSR2)
	if third := a.expect("ready", 2); third.Gen != 2 {
		t.Errorf("%+v", third)
	}
	if res := run.Stop(); res.Failed != 0 || res.Connects != 8 {
		t.Error(res)
	}
}

// TestOldStopsOnProbation: an old process that stands still does not hold the new one up,
// and does not take its own absence for the new one's.
func TestOldStopsOnProbation(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", (timing.Silence + time.Second).String(), "-share", "1") // in which it is stopped
	first := a.expect("ready", 0)
	run := startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 8, Fresh: 4})
	a.signal(first.PID, syscall.SIGUSR2)
	second := a.expect("ready", 1)
	run.await(t, second.PID)
	a.freeze(first.PID)
	time.Sleep(timing.Silence + timing.MaxBeat) // that is what it is about
	a.signal(first.PID, syscall.SIGCONT)
	a.expectLog("msg=upgraded", 1)
	a.expect("end", 0)
	if st := getJSON[core.Ledger](t, first.Addrs[0], "/stats"); st.PID != second.PID {
		t.Errorf("%+v", st)
	}
	if res := run.Stop(); res.Failed != 0 {
		t.Error(res)
	}
}

// TestUpgradeGivenUpOnProbation: who asked goes, and the upgrade is rolled back.
func TestUpgradeGivenUpOnProbation(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-probation", "4m")
	first := a.expect("ready", 0)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+first.Addrs[0]+"/upgrade", nil)
	must(t, err)
	answered := make(chan error, 1)
	go func() {
		_, err := http.DefaultClient.Do(req)
		answered <- err
	}()
	a.expect("ready", 1)
	cancel()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	a.expectLog("upgrade rolled back", 1)
	a.expectLog("context canceled", 1)
	if ev := a.expect("end", 0); ev.Gen != 1 {
		t.Errorf("%+v", ev)
	}
}

// TestRejectWithoutWayBack changes nothing.
func TestRejectWithoutWayBack(t *testing.T) {
	t.Parallel()
	a := start(t, "app", "-listen", "unix,app.sock")
	a.expect("ready", 0)
	sock := filepath.Join(a.dir, "app.sock")
	for range 2 {
		if err := a.call(sock, "/reject?why=x"); err == nil || err.Error() != core.ErrNotOnProbation.Error() {
			t.Errorf("Reject = %v", err)
		}
		must(t, a.upgrade(sock))
		a.expect("ready", 1)
	}
}
