//go:build unix

package core_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/internal/proctest"
)

// followed are the events of a service, as a client hears of them.
type followed struct {
	mu   sync.Mutex
	list []control.Event
	err  chan error // of Client.Events
}

func follow(t *testing.T, c *control.Client, since time.Time) *followed {
	t.Helper()
	f := &followed{err: make(chan error, 1)}
	go func() {
		f.err <- c.Events(t.Context(), since, func(e control.Event) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.list = append(f.list, e)
		})
	}()
	return f
}

func (f *followed) all() []control.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

// of are the steps that a process has told, of one attempt or, with "", of none.
func of(list []control.Event, by int, attempt string) string {
	var steps []string
	for _, e := range list {
		if e.By == by && e.Attempt == attempt {
			steps = append(steps, e.Step)
		}
	}
	return strings.Join(steps, " ")
}

// await waits until the process has told that step, and returns the last such event.
func (f *followed) await(t *testing.T, by int, step string) (last control.Event) {
	t.Helper()
	proctest.Await(t, fmt.Sprintf("process %d tells %s", by, step), func() bool {
		for _, e := range f.all() {
			if e.By == by && e.Step == step {
				last = e
			}
		}
		return last.ID != ""
	})
	return last
}

// TestEvents_AreToldInBothProcesses of upgrades of every outcome, to the program and to a client that follows.
func TestEvents_AreToldInBothProcesses(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{"APP_EVENTS=1"}
	a.start("app", "./app", "-control", "ctl.sock", "-version", "v1", "-probation", "4m")
	c := control.Dial(a.path("ctl.sock"))
	first := a.expect("ready", 0)
	f := follow(t, c, time.Now().Add(-time.Hour))
	expectSteps := func(by int, attempt, want string) {
		t.Helper()
		if got := of(f.all(), by, attempt); got != want {
			t.Errorf("process %d has told %q, want %q", by, got, want)
		}
		var told []string
		for _, ev := range a.of("happened") {
			if ev.PID == by && ev.Args[1] == attempt {
				told = append(told, ev.Args[0])
			}
		}
		if got := strings.Join(told, " "); got != want {
			t.Errorf("the program of process %d has heard %q, want %q", by, got, want)
		}
	}
	const oldBegins, newBegins = "begun hooks_done started ready probation ", "starting checking said_ready serving "
	upgrade := func(n int, end func()) (control.Outcome, event) {
		t.Helper()
		outcome := startUpgrade(t, c, control.UpgradeOptions{})
		next := a.expect("ready", n)
		end()
		return <-outcome, next
	}

	_, rejected := upgrade(1, func() { must(t, c.Rollback(t.Context(), "a test")) })
	back := f.await(t, first.PID, control.StepConcluded)
	f.await(t, rejected.PID, control.StepDrained)
	if o := back.Outcome; o == nil || o.Kind != control.KindRolledBack || !strings.Contains(o.Reason, "a test") || o.NewPID != rejected.PID {
		t.Errorf("%+v", back.Outcome)
	}
	a.expect("end", 0)
	expectSteps(first.PID, back.Attempt, oldBegins+"rolled_back concluded")
	expectSteps(rejected.PID, back.Attempt, newBegins+"rolled_back draining drained")
	if want := fmt.Sprintf("from %d", first.PID); back.Context != want || len(back.Attempt) != 32 {
		t.Errorf("%+v", back)
	}

	_, second := upgrade(2, func() { must(t, c.Promote(t.Context())) })
	drained := f.await(t, first.PID, control.StepDrained)
	a.expect("end", 1)
	if drained.Attempt == back.Attempt {
		t.Error("two upgrades have one name")
	}
	expectSteps(first.PID, drained.Attempt, oldBegins+"confirmed draining concluded moved drained")
	expectSteps(second.PID, drained.Attempt, newBegins+"confirmed")
	expectSteps(first.PID, "", "starting checking serving")

	a.setMode("exit7")
	_, err := c.Upgrade(t.Context(), control.UpgradeOptions{})
	must(t, err)
	failed := f.await(t, second.PID, control.StepConcluded)
	if failed.Outcome.Kind != control.KindFailed || failed.Generation != 1 || failed.Version != "v1" {
		t.Errorf("%+v", failed)
	}
	proctest.Await(t, "the program has heard the outcome", func() bool {
		return slices.ContainsFunc(a.of("happened"), func(ev event) bool { return ev.PID == second.PID && ev.Args[0] == "concluded" })
	})
	expectSteps(second.PID, failed.Attempt, "begun hooks_done started failed concluded")

	must(t, c.Stop(t.Context()))
	a.expectGone()
	f.await(t, second.PID, control.StepStopped)
	expectSteps(second.PID, "", "stopping stopped")
	if err := <-f.err; !errors.Is(err, control.ErrNotFound) && !errors.Is(err, control.ErrStale) {
		t.Errorf("the end of the service: %v", err)
	}
	seen := map[string]bool{}
	for _, e := range f.all() {
		if seen[e.ID] {
			t.Errorf("told twice: %+v", e)
		}
		seen[e.ID] = true
	}
}

// TestEvents_AreRemembered through an upgrade, for who asks later.
func TestEvents_AreRemembered(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "0")
	a.next(first)
	a.expect("end", 0)
	f := follow(t, c, time.Now().Add(-time.Hour))
	f.await(t, first.PID, control.StepDrained)
	if got := of(f.all(), first.PID, ""); got != "starting checking serving" {
		t.Errorf("the first process has told %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Events(ctx, time.Time{}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestPromote_EndsAProbation, and there is none after it.
func TestPromote_EndsAProbation(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "4m")
	if err := c.Promote(t.Context()); !errors.Is(err, control.ErrRefused) {
		t.Errorf("without an upgrade: %v", err)
	}
	outcome := startUpgrade(t, c, control.UpgradeOptions{})
	must(t, c.Promote(t.Context()))
	if o := <-outcome; !o.OK || o.Generation != 1 {
		t.Errorf("%+v", o)
	}
	if err := c.Promote(t.Context()); !errors.Is(err, control.ErrRefused) {
		t.Errorf("after the probation: %v", err)
	}
	if end := a.endsWell(0); end.PID != first.PID {
		t.Errorf("%+v", end)
	}
}

// TestEvents_ACheckIsNone: it is no upgrade, and who follows the events hears nothing of it.
func TestEvents_ACheckIsNone(t *testing.T) {
	t.Parallel()
	a, c, first := controlled(t, "-probation", "0")
	f := follow(t, c, time.Now().Add(-time.Hour))
	var steps []string
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Check: true, Events: func(e control.Event) { steps = append(steps, e.Step) }})
	if err != nil || o.Kind != control.KindChecked || strings.Join(steps, " ") != "started ready" {
		t.Errorf("%+v, %v, after %q", o, err, steps)
	}
	a.next(first)
	f.await(t, first.PID, control.StepDrained)
	if got := of(f.all(), first.PID, ""); got != "starting checking serving" {
		t.Errorf("the old process has told %q of no upgrade", got)
	}
	if got := totals(t, c, func(got control.Totals) bool { return len(got.Processes) == 1 }); len(got.Total.Upgrades) != 1 {
		t.Errorf("%+v", got.Total.Upgrades)
	}
}

// TestEvents_InACheck a stop, and an upgrade that is refused, are told all the same. The program of the checked process hears
// nothing.
func TestEvents_InACheck(t *testing.T) {
	t.Parallel()
	a := installed(t)
	a.env = []string{"APP_EVENTS=1"}
	a.start("app", "./app", "-control", "ctl.sock")
	c := control.Dial(a.path("ctl.sock"))
	first := a.expect("ready", 0)
	f := follow(t, c, time.Now().Add(-time.Hour))
	o, err := c.Upgrade(t.Context(), control.UpgradeOptions{Check: true})
	if err != nil || !o.OK {
		t.Fatalf("%+v, %v", o, err)
	}
	a.setMode("hang")
	go func() { _, _ = c.Upgrade(t.Context(), control.UpgradeOptions{Check: true}) }()
	a.expect("postfork", 1)
	expectRefused(t, c)
	if e := f.await(t, first.PID, control.StepConcluded); e.Outcome.Kind != control.KindRefused || e.Attempt != "" {
		t.Errorf("%+v", e)
	}
	must(t, c.Stop(t.Context()))
	a.expectGone()
	var heard []string
	for _, ev := range a.of("happened") {
		if ev.PID != first.PID {
			t.Errorf("process %d has heard %q", ev.PID, ev.Args)
		}
		heard = append(heard, ev.Args[0])
	}
	if got := strings.Join(heard, " "); got != "starting checking serving concluded stopping stopped" {
		t.Errorf("the program has heard %q", got)
	}
}
