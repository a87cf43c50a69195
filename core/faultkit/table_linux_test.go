package main

import (
	"slices"
	"testing"

	"github.com/gracex-go/gracex/core/internal/wire"
)

func find(s step, f fault) (cell, bool) {
	i := slices.IndexFunc(table, func(c cell) bool { return c.step == s && c.fault == f })
	if i < 0 {
		return cell{}, false
	}
	return table[i], true
}

// TestTableIsComplete: every fault that can come at any step is tried at every step.
func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	need := func(s step, f fault) {
		if _, ok := find(s, f); !ok {
			t.Errorf("no cell %s/%s", s, f)
		}
	}
	for _, s := range steps[1:] {
		need(s, faultKillOld)
		need(s, faultStopOld)
		need(s, faultStopNew)
		need(s, faultSuspend)
		need(s, faultKillNew)
		if s != stepStart {
			need(s, faultCut)
		}
		if s != stepStart && s != stepDrain { // a frame is on its way
			need(s, faultTruncate)
			need(s, faultGarbage)
		}
	}
	for _, f := range faults {
		if !slices.ContainsFunc(table, func(c cell) bool { return c.fault == f }) {
			t.Errorf("%s is never tried", f)
		}
	}
}

// TestTableIsSound: a cell is there once, has names that are known, and the end of the
// service is never right.
func TestTableIsSound(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range table {
		if seen[c.String()] {
			t.Errorf("%v is there twice", c)
		}
		seen[c.String()] = true
		if !slices.Contains(steps, c.step) || !slices.Contains(faults, c.fault) {
			t.Errorf("%v is not known", c)
		}
		if len(c.trial) == 0 {
			t.Errorf("%v is right whatever comes of it", c)
		}
		for _, o := range slices.Concat(c.final, c.trial) {
			if o == ended || o == stranger {
				t.Errorf("%v is right though %q", c, o)
			}
		}
		late := c.step == stepProbation || c.step == stepLast || c.step == stepConfirm
		if late != (len(c.final) == 0) {
			t.Errorf("%v: what comes of it without a probation is %v", c, c.final)
		}
	}
}

// TestChoose: there are no cells for what a program can't do.
func TestChoose(t *testing.T) {
	t.Parallel()
	o := &options{}
	has := func(cells []cell, s step) bool {
		return slices.ContainsFunc(cells, func(c cell) bool { return c.step == s })
	}
	modest := o.choose(&session{seen: []step{stepHello, stepCommit}})
	if has(modest, stepOffer) || has(modest, stepProbation) || !has(modest, stepDrain) {
		t.Errorf("for a program that moves nothing: %v", modest)
	}
	all := o.choose(&session{seen: []step{stepOffer}, onTrial: true})
	if len(all) != len(table)-1 {
		t.Errorf("%d cells of %d", len(all), len(table))
	}
	o.short = true
	if short := o.choose(&session{seen: []step{stepOffer}, onTrial: true}); len(short) == 0 || len(short) > len(all)/4 {
		t.Errorf("the short form has %d cells of %d", len(short), len(all))
	}
}

// TestStepOf: a step comes with its frame, and the drain with the last word.
func TestStepOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		r    report
		due  bool
		want step
	}{
		{report{At: atStart}, false, stepStart},
		{report{At: atBirth}, false, ""},
		{report{At: atRead, Frame: wire.Hello}, false, stepHello},
		{report{At: atRead, Frame: wire.Pong}, false, stepProbation},
		{report{At: atRead, Frame: wire.Pong}, true, stepLast},
		{report{At: atRead, Frame: wire.Confirmed}, true, stepConfirmed},
		{report{At: atRead, Frame: wire.Moved}, false, ""},
		{report{At: atPassed, Frame: wire.Commit}, false, ""},
		{report{At: atPassed, Frame: wire.Confirm}, true, ""},
		{report{At: atPassed, Frame: wire.Confirmed}, true, stepDrain},
		{report{At: atPassed, Frame: wire.Hello}, false, ""},
	} {
		if got := stepOf(tt.r, tt.due); got != tt.want {
			t.Errorf("%+v, %v: %q, not %q", tt.r, tt.due, got, tt.want)
		}
	}
}
