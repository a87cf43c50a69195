package main

import (
	"slices"
	"strings"
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
		if c.trial == "" {
			t.Errorf("%v is right whatever comes of it", c)
		}
		for _, o := range []outcome{ended, stranger} {
			if c.final.allows(o) || c.trial.allows(o) {
				t.Errorf("%v is right though %q", c, o)
			}
		}
		if c.step.onProbation() != (c.final == "") {
			t.Errorf("%v: what comes of it without a probation is %v", c, c.final)
		}
	}
}

// TestPromises: each promise has its reason, and is for as many cells as it names.
func TestPromises(t *testing.T) {
	t.Parallel()
	n := 0
	for _, p := range promises {
		n += len(strings.Fields(p.faults)) * len(strings.Fields(p.steps))
		if p.why == "" && p.faults != "none" {
			t.Errorf("%+v", p)
		}
	}
	if n != len(table) {
		t.Errorf("%d cells are promised, and %d in the table", n, len(table))
	}
	for _, name := range shortForm {
		if !slices.ContainsFunc(table, func(c cell) bool { return c.String() == name }) {
			t.Errorf("no cell %s", name)
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
	modest := o.choose(heard{seen: []step{stepHello, stepCommit}})
	if has(modest, stepOffer) || has(modest, stepProbation) || !has(modest, stepDrain) {
		t.Errorf("for a program that moves nothing: %v", modest)
	}
	all := o.choose(heard{seen: []step{stepOffer}, onTrial: true})
	if len(all) != len(table)-1 {
		t.Errorf("%d cells of %d", len(all), len(table))
	}
	o.short = true
	if short := o.choose(heard{seen: []step{stepOffer}, onTrial: true}); len(short) == 0 || len(short) > len(all)/4 {
		t.Errorf("the short form has %d cells of %d", len(short), len(all))
	}
}

// TestStepOf: a step comes with its frame.
func TestStepOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		f    wire.Type
		due  bool
		want step
	}{
		{wire.Hello, false, stepHello}, {wire.Pong, false, stepProbation}, {wire.Pong, true, stepLast},
		{wire.Confirmed, true, stepConfirmed}, {wire.Moved, false, ""},
	} {
		if got := stepOf(tt.f, tt.due); got != tt.want {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
