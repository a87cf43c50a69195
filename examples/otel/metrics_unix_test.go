//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestMetrics: what all processes have told last is, together, what the clients have counted.
func TestMetrics(t *testing.T) {
	t.Parallel()
	p := start(t)
	asked := 0
	for _, tt := range upgrades {
		p.ask(10)
		asked += 10
		p.upgrade(tt.change)
	}
	p.ask(5)
	p.stop()
	sums, durations := map[string]float64{}, map[string]uint64{}
	processes := map[string]bool{}
	for _, n := range p.last() {
		processes[n.serviceID] = true
		if n.histogram != nil {
			durations[n.name] += n.histogram.GetCount()
			continue
		}
		if outcome, ok := n.attrs["gracex.upgrade.outcome"]; ok {
			sums[fmt.Sprint(n.name, " ", outcome, " ", n.attrs["error.type"])] += n.value
		} else {
			sums[n.name] += n.value
		}
	}
	for name, want := range map[string]float64{
		"gracex.upgrades refused vetoed": 1, "gracex.upgrades failed said_failed": 1,
		"gracex.upgrades rolled_back rejected": 1, "gracex.upgrades upgraded <nil>": 1,
		"gracex.requests.served": float64(asked + 5), "gracex.connections.accepted": float64(asked + 5), "gracex.requests.cut": 0,
	} {
		if got, ok := sums[name]; !ok || got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	// All but the refused one; and of each process that has served, of the one that was rolled back too.
	if durations["gracex.upgrade.duration"] != 3 || durations["gracex.drain.duration"] < 3 {
		t.Errorf("there are the durations %v", durations)
	}
	if len(processes) != 4 {
		t.Errorf("%d processes have told metrics, want 4", len(processes))
	}
	if t.Failed() {
		t.Log(sums)
	}
}

// TestTotals: what the current process tells goes on through upgrades of all kinds, from one start, and is what the clients have
// counted.
func TestTotals(t *testing.T) {
	t.Parallel()
	p := start(t, func(s *settings) { s.Totals = true })
	asked := 0
	for _, tt := range slices.Concat(upgrades, upgrades) {
		p.ask(10)
		asked += 10
		p.upgrade(tt.change)
	}
	p.ask(5)
	p.stop()
	slices.SortStableFunc(p.numbers, func(a, b number) int { return a.at.Compare(b.at) })
	last := map[string]number{}
	for _, n := range p.numbers {
		key := fmt.Sprint(n.name, n.attrs)
		before, ok := last[key]
		if ok && n.monotonic && (n.value < before.value || !n.start.Equal(before.start)) {
			t.Errorf("%s: %v since %v, after %v since %v", key, n.value, n.start, before.value, before.start)
		}
		if n.serviceID != "" {
			t.Errorf("%s is that of the process %s", key, n.serviceID)
		}
		last[key] = n
	}
	requests := 0.0
	for key, n := range last {
		if strings.HasPrefix(key, "gracex.requests.served") {
			requests += n.value
		}
	}
	if requests != float64(asked+5) {
		t.Errorf("%v requests, want %d", requests, asked+5)
	}
	for key, want := range map[string]float64{
		"gracex.upgradesmap[error.type:vetoed gracex.upgrade.outcome:refused]":       2,
		"gracex.upgradesmap[error.type:said_failed gracex.upgrade.outcome:failed]":   2,
		"gracex.upgradesmap[error.type:rejected gracex.upgrade.outcome:rolled_back]": 2,
		"gracex.upgradesmap[gracex.upgrade.outcome:upgraded]":                        2,
		"gracex.generationmap[]":        2,
		"gracex.processes.missingmap[]": 0,
	} {
		if n, ok := last[key]; !ok || n.value != want {
			t.Errorf("%s: %v, want %v", key, n.value, want)
		}
	}
	if h := last["gracex.upgrade.durationmap[]"].histogram; h.GetCount() != 6 {
		t.Errorf("the durations of upgrades are %v, want 6", h)
	}
}

// last returns the last number of each process and each metric.
func (r *receiver) last() map[string]number {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := map[string]number{}
	for _, n := range r.numbers {
		last[fmt.Sprint(n.serviceID, " ", n.name, n.attrs)] = n
	}
	return last
}
