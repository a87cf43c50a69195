package handover

import (
	"slices"
	"testing"
)

// mutant is a machine, or what it runs in, with one rule of docs/protocol.md taken out.
type mutant struct {
	name     string
	procs    int
	without  bool // no probation
	left     budget
	only     []string
	old      func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect)
	new      func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect)
	neglects duty
}

// released is what closes where a rule has the old process wait.
func released(n Old, effects ...OldEffect) (Old, []OldEffect) {
	n.Phase = OldReleased
	return n, effects
}

var mutants = []mutant{
	{name: "R1 closes before confirm is answered", procs: 2, left: budget{kills: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Pong && n.Phase == OldAsked {
				return released(n, Close, SayConfirm, ReportUpgraded)
			}
			return n, effects
		}},
	{name: "R2 closes before a commit for good is answered", procs: 2, without: true, left: budget{kills: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == ReadyForGood && n.Phase == OldAsked {
				return released(n, Close, SayCommitForGood, ReportUpgraded)
			}
			return n, effects
		}},
	{name: "R3 takes back upon silence after confirm", procs: 3, left: budget{freezes: 1, upgrades: 1}, only: []string{"N SIGSTOP", "N upgrade signal"},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Silent && o.Phase == OldAsked {
				return o.takeBack(ReportRolledBack)
			}
			return n, effects
		}},
	{name: "R4 believes the confirmed of a dead process", procs: 2, left: budget{kills: 1, freezes: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == ConfirmedDead {
				return o.Step(Confirmed)
			}
			return n, effects
		}},
	{name: "R5 closes once confirmed is heard", procs: 2, left: budget{kills: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Confirmed && n.Phase == OldDraining {
				return released(n, replaced(effects, Drain, Close)...)
			}
			return n, effects
		}},
	{name: "R6 starts a next process while alone", procs: 3, left: budget{freezes: 1, upgrades: 1}, only: []string{"O SIGSTOP", "N SIGSTOP", "N upgrade signal"},
		new: func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect) {
			if e == Upgrade && p.Phase == NewAlone {
				return n, []NewEffect{StartNext}
			}
			return n, effects
		}},
	{name: "R7 does not say settled before it stops", procs: 2, left: budget{terms: 1},
		new: func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect) {
			return n, slices.DeleteFunc(effects, func(x NewEffect) bool { return x == SaySettled && e == Asked })
		}},
	{name: "R7 does not say settled before it starts a next process", procs: 3, left: budget{kills: 1, upgrades: 1}, only: []string{"N kill -9", "N upgrade signal"},
		new: func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect) {
			return n, slices.DeleteFunc(effects, func(x NewEffect) bool { return x == SaySettled && e == Upgrade })
		}},
	{name: "R7 does not obey settled once it has given up", procs: 2, left: budget{terms: 1, cancels: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Settled && o.Phase == OldGivenUp {
				return o, nil
			}
			return n, effects
		}},
	{name: "R8 sends SIGTERM to the old process", procs: 2, left: budget{freezes: 1}, neglects: endsByKill},
	{name: "R9 obeys the abort of a dead process", procs: 2, left: budget{freezes: 1, kills: 1},
		new: func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect) {
			if e == AbortDead {
				return p.Step(Abort)
			}
			return n, effects
		}},
	{name: "R9 says abort(stop) after it has begun to stop", procs: 2, left: budget{terms: 1, kills: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Stop && o.Phase == OldStarting {
				return n, []OldEffect{StopService, SayAbortStop}
			}
			return n, effects
		}},
	{name: "R10 does not look after the pid file", procs: 2, left: budget{kills: 1, freezes: 1},
		new: func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect) {
			return n, slices.DeleteFunc(effects, func(x NewEffect) bool { return x == Inspect })
		}},
	{name: "a stop while it waits leaves a commit valid", procs: 2, left: budget{freezes: 1, terms: 1},
		new: func(p New, e NewEvent, n New, effects []NewEffect) (New, []NewEffect) {
			if p.Phase == NewWaiting && (e == Asked || e == Broken) {
				n.Phase = NewWaiting
			}
			return n, effects
		}},
	{name: "settled is passed over while the start fails", procs: 2, left: budget{freezes: 1, terms: 1, cancels: 1},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Settled && o.Phase == OldStarting {
				return o, nil
			}
			return n, effects
		}},
	{name: "one that has not been heard since confirm is taken back from", procs: 3, left: budget{upgrades: 1, deafs: 1}, only: []string{"N upgrade signal", "N can't be heard any more"},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Deaf && o.Phase == OldAsked {
				return o.takeBack(ReportRolledBack)
			}
			return n, effects
		}},
	{name: "one that was given up is not told of another", procs: 3, left: budget{freezes: 1, upgrades: 1}, only: []string{"N SIGSTOP", "O upgrade signal"},
		old: func(o Old, e OldEvent, n Old, effects []OldEffect) (Old, []OldEffect) {
			if e == Another {
				return o, nil
			}
			return n, effects
		}},
}

// negligence is what package core could do wrong.
var negligence = []mutant{
	{name: "kills the old process before all its words are read", procs: 3, left: budget{freezes: 1, cancels: 1, upgrades: 1},
		only: []string{"O SIGSTOP", "N the context of its Upgrade ends", "O upgrade signal"}, neglects: readsFirst},
	{name: "kills the old process though it asks that one to serve", procs: 2, left: budget{breaks: 1}, neglects: sparesIfBroken},
	{name: "decides on the end before the words", procs: 3, left: budget{freezes: 1, terms: 1, upgrades: 1},
		only: []string{"O SIGSTOP", "O SIGTERM", "N upgrade signal"}, neglects: endLast},
	{name: "takes an end for one before which all was heard", procs: 3, without: true, left: budget{upgrades: 1, deafs: 1},
		only: []string{"N upgrade signal", "N can't be heard any more"}, neglects: deafFirst},
	{name: "stops one of those that it has started", procs: 3, left: budget{terms: 1, cancels: 1, upgrades: 1},
		only: []string{"N the context of its Upgrade ends", "N SIGTERM", "O upgrade signal"}, neglects: stopsAll},
	{name: "ends without a last look", procs: 2, left: budget{kills: 1}, neglects: lastLook},
	{name: "obeys the settled that its own SIGTERM has brought about", procs: 2, left: budget{freezes: 2}, neglects: ownSIGTERM},
	{name: "leaves the pid file of a process that was given up", procs: 2, left: budget{freezes: 1}, neglects: restoresPIDFile},
	{name: "believes the confirmed of a dead process", procs: 2, left: budget{kills: 1, freezes: 1}, neglects: confirmedDead},
}

func replaced(effects []OldEffect, from, to OldEffect) []OldEffect {
	out := slices.Clone(effects)
	for i := range out {
		if out[i] == from {
			out[i] = to
		}
	}
	return out
}

// TestModelTeeth takes out one rule after the other, and one duty of package core. A search that finds nothing then is one that
// would not notice if the product lost that.
func TestModelTeeth(t *testing.T) {
	if raced {
		t.Skip("without the race detector")
	}
	for _, m := range slices.Concat(mutants, negligence) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := explore(m.world())
			t.Logf("%d states", len(g.keys))
			found := g.violations()
			if len(found) == 0 {
				t.Error("nothing is violated")
			}
			for _, v := range found {
				t.Logf("violated, as it is to be: %s", v.property)
			}
		})
	}
}

func (m *mutant) world() *world {
	w := &world{procs: m.procs, probation: !m.without, left: m.left, only: m.only, neglects: m.neglects}
	if m.old != nil {
		w.oldStep = func(o Old, e OldEvent) (Old, []OldEffect) {
			n, effects := o.Step(e)
			return m.old(o, e, n, effects)
		}
	}
	if m.new != nil {
		w.newStep = func(p New, e NewEvent) (New, []NewEffect) {
			n, effects := p.Step(e)
			return m.new(p, e, n, effects)
		}
	}
	return w
}
