//go:build unix

package core_test

import (
	"errors"
	"math"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/internal/load"
)

// onProbation starts an app under load, and an upgrade whose probation is so long that no test sees its end.
func onProbation(t *testing.T, args ...string) (a *app, run *load.Run, first, second event) {
	t.Helper()
	a, first = serving(t, append([]string{"-pidfile", "app.pid", "-probation", "4m"}, args...)...)
	run = startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 20, Fresh: 8}).Run
	second = a.next(first)
	a.expectPID(first.PID, second.PID)
	return a, run, first, second
}

// rolledBack checks that the old process serves again, and that the next upgrade works.
func rolledBack(t *testing.T, a *app, first, second event, why string) {
	t.Helper()
	a.expectLog("upgrade rolled back; this process serves again", 1)
	a.expectLog(why, 1)
	a.expectPID(second.PID, first.PID)
	expectStats(t, first.Addrs[0], func(l core.Ledger) bool { return l.PID == first.PID && l.State == core.StateCurrent })
	mend(t, a)
	a.next(first)
	a.signal(first.PID, syscall.SIGTERM) // ends the probation
	a.expectLog("msg=upgraded", 1)
}

// TestProbation_RejectedOneLosesNothing has a new process finish what it has while the old one accepts again.
func TestProbation_RejectedOneLosesNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode, path, probation, why string
	}{
		"ready check":     {"check", "/stats", "4s", "it rejected itself: ready check: no database"}, // each quarter
		"reject":          {"", "/reject?why=bad+cache", "4m", "it rejected itself: bad cache"},
		"broken listener": {"", "/break", "4m", "it rejected itself: broken by the test"},
		"hung up":         {"", "/hangup", "4m", "it closed the handover socket on probation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, run, first, second := onProbation(t, "-probation", tt.probation)
			a.setMode(tt.mode)
			if err := a.call(first.Addrs[0], tt.path); name == "reject" {
				expectError(t, err, "<nil>")
			}
			rolledBack(t, a, first, second, tt.why)
			end := a.expect("end", 0)
			aborted := strings.Contains(end.Err, core.ErrAborted.Error())
			if end.PID != second.PID || !aborted && name != "hung up" {
				t.Errorf("the new process ended: %+v", end)
			}
			expectLossless(t, run)
		})
	}
}

// TestProbation_DeadOneLosesWhatRanInIt has at most one request lost on each connection of the new process.
func TestProbation_DeadOneLosesWhatRanInIt(t *testing.T) {
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
			if moved := adopted(t, first.Addrs[0], tt.kept); moved > tt.most {
				t.Errorf("%d connections moved", moved)
			}
			a.signal(second.PID, tt.sig)
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

// adopted waits until the new process has n connections of the old one's, or some more: those of the test are among
// them.
func adopted(t *testing.T, addr string, n int) (moved int) {
	t.Helper()
	expectStats(t, addr, func(st core.Ledger) bool {
		moved = int(st.Adopted)
		return st.Generation == 1 && moved >= n
	})
	return moved
}

// TestProbation_CrashesLoseNothingWithoutAShare deploys a version that crashes a second after ready, again and again.
func TestProbation_CrashesLoseNothingWithoutAShare(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m", "-share", "0")
	run := startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 16})
	a.setMode("crashlater")
	for i := range 3 {
		expectError(t, a.upgrade(first.Addrs[0]), core.ErrRolledBack.Error(), "exit status 2 after ")
		a.expect("ready", i+1)
	}
	if res := expectLossless(t, run.Run); len(res.Served) != 1 {
		t.Errorf("with no share: %v", res)
	}
}

func TestProbation_ShareMovesAtOnceAndTheRestLater(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "500ms", "-share", "0.25")
	addr := first.Addrs[0]
	run := startKept(t, first.PID, load.Config{Addr: addr, Clients: 16})
	upgraded := make(chan error, 1)
	go func() { upgraded <- a.upgrade(addr) }()
	a.expect("ready", 1)
	adopted(t, addr, 4)
	must(t, <-upgraded)
	adopted(t, addr, 16)
	a.expect("end", 0)
	if res := expectLossless(t, run.Run); res.Connects != 16 {
		t.Errorf("%d connections, want 16", res.Connects)
	}
}

func TestProbation_ShareIsOfWhatCanMove(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m", "-share", "0.1")
	for range 50 {
		answered(t, first.Addrs[0], "/hijack")
	}
	for range 3 {
		answered(t, first.Addrs[0], "/")
	}
	a.next(first)
	if n := adopted(t, first.Addrs[0], 1); n != 1 {
		t.Errorf("%d connections moved, want 1", n)
	}
}

// TestProbation_SignalStormIsOneMoreUpgrade has signals in the middle of an upgrade, on probation or not.
func TestProbation_SignalStormIsOneMoreUpgrade(t *testing.T) {
	t.Parallel()
	for name, probation := range map[string]time.Duration{"without": 0, "longer than the storm": math.MaxInt64} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, "-probation", probation.String(), "-pidfile", "app.pid")
			a.setMode("wait") // the first upgrade is in progress for as long as the storm lasts
			a.signal(first.PID, syscall.SIGHUP)
			a.expect("checking", 0)
			for i := range 50 {
				if i == 25 && probation > 0 { // the rest comes on probation
					a.expectLog("signal: upgrade", 2)
					a.setMode("")
					a.expectLog("on probation", 1)
				}
				a.signal(first.PID, syscall.SIGHUP)
				time.Sleep(2 * time.Millisecond) // 50 in 100 ms
			}
			a.expectLog("signal: upgrade", 2)
			a.setMode("")
			second := a.expect("ready", 1)
			if probation > 0 {
				a.signal(first.PID, syscall.SIGTERM) // it has passed
			}
			third := a.expect("ready", 2)
			if probation > 0 {
				a.signal(second.PID, syscall.SIGTERM)
			}
			a.expectLog("msg=upgraded", 2)
			a.expect("end", 1)
			expectCurrent(t, first.Addrs[0], third.PID)
			if third.Gen != 2 {
				t.Errorf("%+v", third)
			}
			for _, bad := range []string{"upgrade failed", "rolled back", "level=ERROR"} {
				if strings.Contains(a.log(), bad) {
					t.Errorf("the log says %q", bad)
				}
			}
		})
	}
}

// TestProbation_SignalToTheNewProcessWaits has that one upgrade when the probation is over, or the old one after a
// rollback.
func TestProbation_SignalToTheNewProcessWaits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		end func(a *app, first event)
		gen int
	}{
		"passed":      {func(a *app, first event) { a.signal(first.PID, syscall.SIGTERM) }, 2},
		"rolled back": {func(a *app, first event) { _ = a.call(first.Addrs[0], "/reject?why=no+good") }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, run, first, second := onProbation(t, "-probation", time.Duration(math.MaxInt64).String())
			a.signal(second.PID, syscall.SIGHUP) // the pid file names it
			a.expectLog("one more follows it", 1)
			expectError(t, a.upgrade(first.Addrs[0]), core.ErrInProgress.Error())
			tt.end(a, first)
			third := a.expect("ready", 2)
			if third.Gen != tt.gen {
				t.Errorf("%+v", third)
			}
			if tt.gen == 2 {
				a.signal(second.PID, syscall.SIGTERM)
				a.expect("end", 1)
			}
			expectLossless(t, run)
		})
	}
}

// TestProbation_StopOfTheNewProcessIsOne ends the service, and a stop of the old one alone does not.
func TestProbation_StopOfTheNewProcessIsOne(t *testing.T) {
	t.Parallel()
	for name, who := range map[string]struct{ old, new bool }{
		"new": {new: true}, "both": {true, true}, "old": {old: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, first := serving(t, "-probation", "4m", "-pidfile", "app.pid")
			second := a.next(first)
			if who.old {
				a.signal(first.PID, syscall.SIGTERM)
			}
			if who.new {
				a.signal(second.PID, syscall.SIGTERM)
			}
			if name == "old" {
				a.expectLog("msg=upgraded", 1)
				if end := a.endsWell(0); end.PID != first.PID {
					t.Errorf("%+v", end)
				}
				expectServes(t, first.Addrs[0], second.PID)
				return
			}
			a.expectGone()
			for i := range 2 {
				a.endsWell(i)
			}
			if _, err := os.Stat(a.path("app.pid")); err == nil {
				t.Error("the pid file is left")
			}
		})
	}
}

func TestProbation_OldOneIsNotNeeded(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T, probation time.Duration, fresh int) (a *app, run *load.Run, first, second event) {
		t.Helper()
		t.Parallel()
		a, first = serving(t, "-probation", probation.String(), "-share", "1")
		kept := startKept(t, first.PID, load.Config{Addr: first.Addrs[0], Clients: 8, Fresh: fresh})
		second = a.next(first)
		kept.await(t, second.PID)
		return a, kept.Run, first, second
	}
	t.Run("it dies", func(t *testing.T) {
		a, run, first, second := begin(t, 4*time.Minute, 0)
		a.signal(first.PID, syscall.SIGKILL)
		a.expectLog("there is no way back any more", 1)
		a.next(second)
		if res := expectLossless(t, run); res.Connects != 8 {
			t.Error(res)
		}
	})
	t.Run("it stands still, and does not take its own absence for the new one's", func(t *testing.T) {
		a, run, first, second := begin(t, timing.Silence+time.Second, 4) // in which it is stopped
		a.freeze(first.PID)
		time.Sleep(timing.Silence + timing.MaxBeat) // that is what it is about
		a.signal(first.PID, syscall.SIGCONT)
		a.expectLog("msg=upgraded", 1)
		a.expect("end", 0)
		expectServes(t, first.Addrs[0], second.PID)
		expectLossless(t, run)
	})
}

func TestProbation_ClientThatGoesRollsItBack(t *testing.T) {
	t.Parallel()
	a, first := serving(t, "-probation", "4m")
	giveUp := a.beginUpgrade(first.Addrs[0])
	a.expect("ready", 1)
	giveUp()
	a.expectLog("upgrade rolled back", 1)
	a.expectLog("context canceled", 1)
	if ev := a.expect("end", 0); ev.Gen != 1 {
		t.Errorf("%+v", ev)
	}
}

func TestProbation_RejectWithoutOneChangesNothing(t *testing.T) {
	t.Parallel()
	a, _ := serving(t, "-listen", "unix,app.sock")
	sock := a.path("app.sock")
	for range 2 {
		if err := a.call(sock, "/reject?why=x"); err == nil || err.Error() != core.ErrNotOnProbation.Error() {
			t.Errorf("Reject = %v", err)
		}
		must(t, a.upgrade(sock))
		a.expect("ready", 1)
	}
}
