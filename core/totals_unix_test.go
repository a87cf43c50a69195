//go:build unix

package core_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/load"
	"github.com/gracex-go/gracex/internal/proctest"
)

// totals asks for the totals until they are as cond wants them.
func totals(t *testing.T, c *control.Client, cond func(control.Totals) bool) (got control.Totals) {
	t.Helper()
	var err error
	defer func() {
		if t.Failed() {
			t.Logf("totals %+v, %v", got, err)
		}
	}()
	proctest.Await(t, "the totals are as expected", func() bool {
		got, err = c.Totals(t.Context(), 0)
		return err == nil && cond(got)
	})
	return got
}

// watchTotals asks for them again and again, each time on a new connection, and reports a number that shrinks. The
// function that it returns ends that.
func watchTotals(t *testing.T, c *control.Client) (stop func()) {
	t.Helper()
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var last control.Totals
		for n := 0; ; n++ {
			select {
			case <-quit:
				if n == 0 {
					t.Error("the totals were never asked for")
				}
				return
			case <-time.After(10 * time.Millisecond):
			}
			got, err := c.Totals(t.Context(), 0)
			if err != nil {
				t.Error(err)
				return
			}
			for what, pair := range map[string][2]uint64{
				"requests": {last.Total.Requests(), got.Total.Requests()},
				"accepted": {last.Total.Accepted(), got.Total.Accepted()},
				"moved":    {last.Total.MovedConnections(), got.Total.MovedConnections()},
				"upgraded": {last.Total.UpgradesWith(control.KindUpgraded), got.Total.UpgradesWith(control.KindUpgraded)},
				"drains":   {last.Total.DrainSeconds.Count, got.Total.DrainSeconds.Count},
			} {
				if pair[1] < pair[0] {
					t.Errorf("%s: %d after %d", what, pair[1], pair[0])
				}
			}
			last = got
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// TestTotals_AreWhatTheClientsHaveCounted through upgrades of every outcome, and never shrink.
func TestTotals_AreWhatTheClientsHaveCounted(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{"APP_NAME=public"}
	a.start("app", "./app", "-control", "ctl.sock", "-version", "v1", "-probation", "4m")
	c := control.Dial(a.path("ctl.sock"))
	addr := a.expect("ready", 0).Addrs[0]
	run := load.Start(load.Config{Addr: addr, Clients: 12, Fresh: 4})
	stop := watchTotals(t, c)
	const good, bad, back, vetoed = 3, 2, 2, 1
	outcomes := func(n int, mode, kind string, then func()) {
		t.Helper()
		for range n {
			a.setMode(mode)
			var o control.Outcome
			if then == nil {
				o, _ = c.Upgrade(t.Context(), control.UpgradeOptions{})
			} else {
				outcome := startUpgrade(t, c, control.UpgradeOptions{})
				then()
				o = <-outcome
			}
			if o.Kind != kind {
				t.Fatalf("%+v, want %s", o, kind)
			}
		}
		a.setMode("")
	}
	outcomes(good-1, "", control.KindUpgraded, func() { must(t, c.Promote(t.Context())) })
	outcomes(bad, "exit7", control.KindFailed, nil)
	outcomes(back, "", control.KindRolledBack, func() { must(t, c.Rollback(t.Context(), "a test")) })
	outcomes(vetoed, "veto", control.KindRefused, nil)
	outcomes(1, "", control.KindUpgraded, func() { must(t, c.Promote(t.Context())) })
	res := expectLossless(t, run)
	got := totals(t, c, func(got control.Totals) bool {
		return got.Total.Requests() >= uint64(res.Requests) && len(got.Processes) == 1 && got.Total.DrainSeconds.Count == good+back
	})
	stop()
	if want := []control.ServerCounts{{Server: "public", Requests: uint64(res.Requests), Accepted: uint64(res.Connects)}}; !slices.Equal(got.Total.Servers, want) {
		t.Errorf("servers %+v, want %+v", got.Total.Servers, want)
	}
	wantUpgrades := []control.UpgradeCounts{
		{Outcome: control.KindUpgraded, Count: good},
		{Outcome: control.KindFailed, Reason: control.ReasonExited, Count: bad},
		{Outcome: control.KindRolledBack, Reason: control.ReasonOperator, Count: back},
		{Outcome: control.KindRefused, Reason: control.ReasonVetoed, Count: vetoed},
	}
	for _, u := range wantUpgrades {
		if !slices.Contains(got.Total.Upgrades, u) || len(got.Total.Upgrades) != len(wantUpgrades) {
			t.Errorf("upgrades %+v, want %+v", got.Total.Upgrades, wantUpgrades)
		}
	}
	if n := got.Total.UpgradeSeconds.Count; n != good+bad+back {
		t.Errorf("%d upgrades were timed", n)
	}
	if got.MissingCount != 0 || got.Total.CutRequests != 0 || got.LastSuccess.IsZero() || got.LastFailure.IsZero() ||
		got.Since.After(got.LastFailure) {
		t.Errorf("%+v", got)
	}
	// The clients have stopped before the last ones could move.
	if moved := got.Total.MovedConnections(); moved < 12*(good-1) || got.Total.Moved[0].Protocol != control.ProtocolHTTP1 {
		t.Errorf("moved %+v", got.Total.Moved)
	}
}

// TestTotals_HaveWhatAnOldProcessCountsYet is about one that drains through two more upgrades, and what it cuts.
func TestTotals_HaveWhatAnOldProcessCountsYet(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-drain", "4m", "-maxdraining", "0")
	addr := first.Addrs[0]
	slow := asked(t, addr, "/?hold=enough")
	a.expect("handling", 0)
	second := a.next(first)
	third := a.next(second)
	expectAnswers(t, addr)
	before := totals(t, c, func(got control.Totals) bool {
		return len(got.Processes) == 2 && got.Processes[1].PID == first.PID && got.Total.Requests() == 1
	})
	if p := before.Processes[1]; p.Open.Requests != 1 || p.State != "draining" || p.Generation != 0 || before.Processes[0].PID != third.PID {
		t.Errorf("%+v", before.Processes)
	}
	a.write("enough", "")
	slow.Answer()
	after := totals(t, c, func(got control.Totals) bool { return len(got.Processes) == 1 && got.Total.DrainSeconds.Count == 2 })
	if after.Total.Requests() != 2 || after.MissingCount != 0 {
		t.Errorf("%+v", after)
	}
}

// TestTotals_SayWhatACutWas at the deadline of a process whose port has moved on.
func TestTotals_SayWhatACutWas(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-drain", "300ms")
	asked(t, first.Addrs[0], "/?hold=never")
	a.expect("handling", 0)
	a.next(first)
	a.expect("draintimeout", 0)
	got := totals(t, c, func(got control.Totals) bool { return len(got.Processes) == 1 })
	if got.Total.CutRequests != 1 || got.Total.CutConnections != 1 || got.MissingCount != 0 {
		t.Errorf("%+v", got.Total)
	}
}

// TestTotals_GoOnAfterAKill from the last value that anybody has seen, and say who is missing.
func TestTotals_GoOnAfterAKill(t *testing.T) {
	t.Parallel()
	a, _, first := supervisedServing(t, "-control", "ctl.sock", "-version", "v1", "-probation", "0")
	c := control.Dial(a.path("ctl.sock"))
	addr := first.Addrs[0]
	ask := func(n int) {
		t.Helper()
		for range n {
			expectAnswers(t, addr)
		}
	}
	counted := func(n uint64) func(control.Totals) bool {
		return func(got control.Totals) bool { return got.Total.Requests() == n }
	}
	ask(5)
	second := a.next(first)
	ask(3)
	seen := totals(t, c, counted(8))
	a.expect("end", 0) // else the first one would serve again
	a.signal(second.PID, syscall.SIGKILL)
	third := a.expect("ready", 2)
	ask(2)
	got := totals(t, c, counted(10))
	if got.MissingCount != 1 || len(got.Missing) != 1 || !got.Since.Equal(seen.Since) {
		t.Fatalf("%+v", got)
	}
	if m := got.Missing[0]; m.PID != second.PID || m.Generation != 1 || m.Version != "v1" || m.Told.Before(seen.Since) {
		t.Errorf("missing %+v", m)
	}
	if got.Total.UpgradesWith(control.KindUpgraded) != 1 || got.Processes[0].PID != third.PID || got.LastSuccess.IsZero() {
		t.Errorf("%+v", got)
	}
	// What nobody has seen, and nobody was told, is lost, and stays so.
	a.signal(third.PID, syscall.SIGKILL)
	a.expect("ready", 3)
	if got := totals(t, c, counted(10)); got.MissingCount != 2 || got.Missing[0].PID != third.PID {
		t.Errorf("%+v", got)
	}
	a.stopsWell()
}

// TestTotals_GoOnWithTheOldProcess if the new one is killed on probation: by what that has shown.
func TestTotals_GoOnWithTheOldProcess(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m")
	addr := first.Addrs[0]
	second := a.next(first)
	expectServes(t, addr, second.PID)
	expectServes(t, addr, second.PID)
	seen := totals(t, c, func(got control.Totals) bool { return got.Total.Requests() == 2 })
	a.signal(second.PID, syscall.SIGKILL)
	a.expectLog("upgrade rolled back; this process serves again", 1)
	got := totals(t, c, func(got control.Totals) bool { return got.MissingCount == 1 && got.Processes[0].PID == first.PID })
	if got.Total.Requests() != seen.Total.Requests() || got.Missing[0].PID != second.PID {
		t.Errorf("%+v after %+v", got, seen)
	}
	if u := got.Total.Upgrades; len(u) != 1 || u[0] != (control.UpgradeCounts{Outcome: control.KindRolledBack, Reason: control.ReasonExited, Count: 1}) {
		t.Errorf("upgrades %+v", u)
	}
}

// TestTotals_MeasureRequestsWhileSomebodyWantsThat, and not before and after.
func TestTotals_MeasureRequestsWhileSomebodyWantsThat(t *testing.T) {
	t.Parallel()
	_, c, first := controlled(t, "-h2c")
	addr := first.Addrs[0]
	measured := func(measure time.Duration) control.Counts {
		t.Helper()
		got, err := c.Totals(t.Context(), measure)
		must(t, err)
		return got.Total
	}
	expectAnswers(t, addr)
	if got := measured(time.Minute); got.RequestSeconds.Count != 0 {
		t.Errorf("%+v", got)
	}
	for _, cfg := range []load.Config{
		{}, {Path: "/?status=500"}, {Path: "/?status=404"}, {Method: "GET", Path: "/?status=503"}, {Method: "GET"},
	} {
		cfg.Addr, cfg.Timeout = addr, patience
		_, err := load.Ask(cfg, "")
		must(t, err)
	}
	var got control.Counts
	proctest.Await(t, "all requests are measured", func() bool { got = measured(0); return got.RequestSeconds.Count == 5 })
	if got.RequestErrors != 2 || got.RequestSeconds.Sum <= 0 {
		t.Errorf("%+v", got)
	}
	run := load.Start(load.Config{Addr: addr, Clients: 1, HTTP2: true})
	proctest.Await(t, "HTTP/2 is measured", func() bool { return measured(0).RequestSeconds.Count > 15 })
	expectLossless(t, run)
}

// TestTotals_MeasureNoLongerThanAsked looks at a process that was asked for a millisecond.
func TestTotals_MeasureNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	_, c, first := controlled(t)
	_, err := c.Totals(t.Context(), time.Millisecond)
	must(t, err)
	proctest.Await(t, "a request is not measured", func() bool {
		before, err := c.Totals(t.Context(), 0)
		must(t, err)
		expectAnswers(t, first.Addrs[0])
		after := totals(t, c, func(got control.Totals) bool { return got.Total.Requests() > before.Total.Requests() })
		return after.Total.RequestSeconds.Count == before.Total.RequestSeconds.Count
	})
}

// TestTotals_CountAnUpgradeThatWasTakenBack twice: as the good one that it was reported to be, and as taken back.
func TestTotals_CountAnUpgradeThatWasTakenBack(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "0", "-drain", "4m")
	f := follow(t, c, time.Time{})
	asked(t, first.Addrs[0], "/?hold=never")
	a.expect("handling", 0)
	second := a.next(first)
	totals(t, c, func(got control.Totals) bool {
		return got.Total.UpgradesWith(control.KindUpgraded) == 1 && len(got.Processes) == 2
	})
	a.signal(second.PID, syscall.SIGKILL)
	a.expectLog("upgrade rolled back late; this process serves again", 1)
	got := totals(t, c, func(got control.Totals) bool { return got.Total.UpgradesWith(control.OutcomeTakenBack) == 1 })
	if got.Total.UpgradesWith(control.KindUpgraded) != 1 || got.Total.UpgradeSeconds.Count != 1 || got.LastFailure.IsZero() {
		t.Errorf("%+v", got)
	}
	totals(t, c, func(got control.Totals) bool { return got.MissingCount == 1 && got.Missing[0].PID == second.PID })
	if e := f.await(t, first.PID, control.StepTakenBack); e.Attempt == "" {
		t.Errorf("%+v", e)
	}
	proctest.Await(t, "its second outcome is told", func() bool {
		return slices.ContainsFunc(f.all(), func(e control.Event) bool {
			return e.By == first.PID && e.Step == control.StepConcluded && e.Outcome.Kind == control.KindRolledBack
		})
	})
}

// TestTotals_MissAnOlderProcessThatIsKilled: it was left to the current one by the process between them.
func TestTotals_MissAnOlderProcessThatIsKilled(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-drain", "4m", "-maxdraining", "0")
	asked(t, first.Addrs[0], "/?hold=never")
	a.expect("handling", 0)
	a.next(a.next(first))
	totals(t, c, func(got control.Totals) bool { return len(got.Processes) == 2 && got.Processes[1].PID == first.PID })
	a.signal(first.PID, syscall.SIGKILL)
	got := totals(t, c, func(got control.Totals) bool { return len(got.Processes) == 1 && got.MissingCount == 1 })
	if got.Missing[0].PID != first.PID {
		t.Errorf("%+v", got.Missing)
	}
}
