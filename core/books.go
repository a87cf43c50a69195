package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// books are what this process knows of the counts of the service's processes, itself apart, and of its own upgrades and
// drain. The zero books are those of a first process.
//
// Each process numbers its accounts. A later one replaces an earlier one, and the last word stays. So it does not matter
// how often one is told, by whom, and in which order. A sum can't be told twice, so base is taken once, from the process
// before or the supervisor, and changed by the process that has the service alone.
type books struct {
	mu     sync.Mutex
	base   control.Totals // without Processes: the sum of those that nobody tells of any more
	based  bool           // base was taken over, or there was none
	handed bool           // the next process has the books
	others []control.Account

	upgrades       []control.UpgradeCounts
	upgradeSeconds control.Histogram
	drainSeconds   control.Histogram
	ended          bool   // the next account is the last word
	accounts       uint64 // how many there were
	generation     int    // of this process
}

// The bounds of histograms, in seconds.
var (
	workBounds    = control.DurationBounds()
	requestBounds = exponential(0.0001, 1.5, 34) // to 65 s
)

func exponential(first, factor float64, n int) (bounds []float64) {
	for ; n > 0; n-- {
		bounds = append(bounds, first)
		first *= factor
	}
	return bounds
}

// maxMissing is how many processes are named that have ended without a last word.
const maxMissing = 16

// maxProcesses bounds the processes that another one can name.
const maxProcesses = 64

// open begins with what a supervisor has heard of the processes before, none of which can tell more.
func (b *books) open(generation int, told json.RawMessage) {
	b.generation = generation
	var t control.Totals
	if len(told) == 0 || json.Unmarshal(told, &t) != nil {
		return
	}
	b.takeTotals(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.others {
		lose(&b.others[i])
	}
	b.foldLocked(heard{})
}

// totals adds up what is known, for those who ask.
func (b *books) totals(own control.Account) control.Totals {
	t := b.all(own, process{})
	listed := t.Processes
	t.Processes, t.Total = nil, t.Ended
	for _, a := range listed {
		t.Total = t.Total.Plus(a.Counts)
		if a.Missing {
			t.Missing = newest(t.Missing, []control.Missing{missing(a)})
			t.MissingCount++
		}
		if a.Ended {
			t.Ended = t.Ended.Plus(a.Counts)
		} else {
			t.Processes = append(t.Processes, a)
		}
	}
	return t
}

// all is everything that is known, for another process: Processes has those that have ended, too, and Total nothing. The
// process without knows best what it has counted itself.
func (b *books) all(own control.Account, without process) control.Totals {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.base
	t.Since = firstOf(t.Since, own.Started)
	t.Ended = t.Ended.Plus(control.Counts{})
	t.Missing = slices.Clone(t.Missing)
	t.Processes = []control.Account{own}
	for _, a := range b.others {
		if processOf(a) != without {
			t.Processes = append(t.Processes, a)
		}
	}
	slices.SortStableFunc(t.Processes, func(x, y control.Account) int { return cmp.Compare(y.Generation, x.Generation) })
	return t
}

// firstOf is the first of the times that are known.
func firstOf(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

func lastOf(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newest are those who are missing, the newest first.
func newest(lists ...[]control.Missing) []control.Missing {
	all := slices.Concat(lists...)
	slices.SortStableFunc(all, func(x, y control.Missing) int { return cmp.Compare(y.Generation, x.Generation) })
	return all[:min(len(all), maxMissing)]
}

func missing(a control.Account) control.Missing {
	return control.Missing{PID: a.PID, Generation: a.Generation, Version: a.Version, Told: a.Told}
}

// takeTotals takes what the process before, or the supervisor, knows.
func (b *books) takeTotals(t control.Totals) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range t.Processes[:min(len(t.Processes), maxProcesses)] {
		b.takeLocked(a)
	}
	b.base.Since = firstOf(b.base.Since, t.Since)
	b.base.LastSuccess, b.base.LastFailure = lastOf(b.base.LastSuccess, t.LastSuccess), lastOf(b.base.LastFailure, t.LastFailure)
	if !b.based && t.Ended.Valid() {
		b.based = true
		b.base.Ended, b.base.Missing, b.base.MissingCount = t.Ended, newest(t.Missing), t.MissingCount
	}
}

// take takes what a process has counted.
func (b *books) take(a control.Account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takeLocked(a)
}

func (b *books) takeLocked(a control.Account) {
	if processOf(a) == (process{b.generation, os.Getpid()}) || !a.Counts.Valid() {
		return
	}
	i := slices.IndexFunc(b.others, func(x control.Account) bool { return processOf(x) == processOf(a) })
	switch {
	case i < 0 && len(b.others) < maxProcesses:
		b.others = append(b.others, a)
	case i >= 0 && (a.Ended && !a.Missing || !b.others[i].Ended && (a.Ended || a.Number > b.others[i].Number)):
		b.others[i] = a
	}
}

// process is what a process is known by. Its number alone can be that of another one, in another pid namespace or later.
type process struct{ generation, pid int }

func processOf(a control.Account) process { return process{a.Generation, a.PID} }

// heard are the processes that this one hears itself: those before it, and new ones that it has given up.
type heard struct {
	older  []int            // generations of the former
	itself map[process]bool // both
}

// tells reports whether one of the older processes can tell of a process, because it hears that itself, or has: it knows
// those before it, and new ones that it has started.
func (h heard) tells(a control.Account) bool {
	return slices.ContainsFunc(h.older, func(generation int) bool { return a.Generation <= generation+1 })
}

// gone hears that a process is gone, and with it all that only it has heard. Those that have not said their last word are
// missing.
func (b *books) gone(generation, pid int, others heard) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.others {
		a := &b.others[i]
		itself := processOf(*a) == process{generation, pid}
		if itself || a.Generation <= generation+1 && !others.itself[processOf(*a)] && !others.tells(*a) {
			lose(a)
		}
	}
	if !b.handed {
		b.foldLocked(others)
	}
}

// lose notes that a process tells nothing more.
func lose(a *control.Account) {
	if !a.Ended {
		a.Ended, a.Missing = true, true
	}
}

// foldLocked adds those that have ended to base, unless somebody can tell of them once more.
func (b *books) foldLocked(others heard) {
	b.others = slices.DeleteFunc(b.others, func(a control.Account) bool {
		if !a.Ended || others.tells(a) {
			return false
		}
		b.base.Ended = b.base.Ended.Plus(a.Counts)
		if a.Missing {
			b.base.Missing = newest([]control.Missing{missing(a)}, b.base.Missing)
			b.base.MissingCount++
		}
		return true
	})
}

// hand leaves the books to the next process, or with false takes them back.
func (b *books) hand(over bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handed, b.based = over, true
}

// end makes the next account of this process its last word.
func (b *books) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}

// drained counts a drain.
func (b *books) drained(took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drainSeconds.Observe(took, workBounds)
}

// upgraded counts an upgrade with its outcome.
func (b *books) upgraded(outcome string, err error, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := control.Counts{Upgrades: []control.UpgradeCounts{{Outcome: outcome, Reason: reasonClass(err), Count: 1}}}
	b.upgrades = control.Counts{Upgrades: b.upgrades}.Plus(one).Upgrades
	switch outcome {
	case control.KindRefused:
	case control.KindUpgraded:
		b.base.LastSuccess = time.Now()
	default:
		b.base.LastFailure = time.Now()
	}
	if outcome != control.KindRefused && outcome != control.OutcomeTakenBack {
		b.upgradeSeconds.Observe(took, workBounds)
	}
}

// arrived notes that the upgrade which has started this process was good. The old process may end before it tells.
func (b *books) arrived() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.base.LastSuccess = time.Now()
}

// reasonClass is the class of the reason why an upgrade was not good; empty if it was.
func reasonClass(err error) string {
	start, operator := new(StartError), new(operatorError)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrVetoed):
		return control.ReasonVetoed
	case errors.Is(err, ErrInProgress):
		return control.ReasonInProgress
	case errors.Is(err, ErrStopped):
		return control.ReasonStopped
	case errors.As(err, &operator):
		return control.ReasonOperator
	case errors.Is(err, errRejectedItself):
		return control.ReasonRejected
	case errors.Is(err, ErrTimeout):
		return control.ReasonTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return control.ReasonCanceled
	case errors.Is(err, errSaidFailed):
		return control.ReasonSaidFailed
	case errors.Is(err, errEnded), errors.Is(err, errEndedOnProbation), errors.Is(err, errEndedInDrain),
		errors.Is(err, errHungUp), errors.Is(err, errHungUpOnProbation):
		return control.ReasonExited
	case errors.As(err, &start) && start.PID == 0, errors.Is(err, ErrNoRelease):
		return control.ReasonNotStarted
	}
	return control.ReasonOther
}
