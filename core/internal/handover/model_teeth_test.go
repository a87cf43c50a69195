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
	old      *oldMutation
	new      *newMutation
	neglects duty
}

// oldMutation is what the old process does instead when event on leads from one phase to another. The idle phase, in
// from and to, is any.
type oldMutation struct {
	on       OldEvent
	from, to OldPhase
	does     func(o, n Old, effects []OldEffect) (Old, []OldEffect)
}

// newMutation is what the new process does instead on these events.
type newMutation struct {
	on   []NewEvent
	does func(p, n New, effects []NewEffect) (New, []NewEffect)
}

// closes has the old process close where a rule has it wait.
func closes(effects ...OldEffect) func(o, n Old, _ []OldEffect) (Old, []OldEffect) {
	return func(_, n Old, _ []OldEffect) (Old, []OldEffect) {
		n.Phase = OldReleased
		return n, effects
	}
}

// ignores has the old process pass over an event.
func ignores(o, _ Old, _ []OldEffect) (Old, []OldEffect) { return o, nil }

// takesBack has the old process take the service back.
func takesBack(o, _ Old, _ []OldEffect) (Old, []OldEffect) { return o.takeBack(ReportRolledBack) }

// without has the new process leave an effect out.
func without(effect NewEffect) func(p, n New, effects []NewEffect) (New, []NewEffect) {
	return func(_, n New, effects []NewEffect) (New, []NewEffect) {
		return n, slices.DeleteFunc(effects, func(x NewEffect) bool { return x == effect })
	}
}

var mutants = []mutant{
	{name: "R1 closes before confirm is answered", procs: 2, left: budget{kills: 1},
		old: &oldMutation{on: Pong, to: OldAsked, does: closes(Close, SayConfirm, ReportUpgraded)}},
	{name: "R2 closes before a commit for good is answered", procs: 2, without: true, left: budget{kills: 1},
		old: &oldMutation{on: ReadyForGood, to: OldAsked, does: closes(Close, SayCommitForGood, ReportUpgraded)}},
	{name: "R3 takes back upon silence after confirm", procs: 3, left: budget{freezes: 1, upgrades: 1},
		only: []string{"N SIGSTOP", "N upgrade signal"},
		old:  &oldMutation{on: Silent, from: OldAsked, does: takesBack}},
	{name: "R4 believes the confirmed of a dead process", procs: 2, left: budget{kills: 1, freezes: 1},
		old: &oldMutation{on: ConfirmedDead, does: func(o, _ Old, _ []OldEffect) (Old, []OldEffect) {
			return o.Step(Confirmed)
		}}},
	{name: "R5 closes once confirmed is heard", procs: 2, left: budget{kills: 1},
		old: &oldMutation{on: Confirmed, to: OldDraining, does: func(o, n Old, effects []OldEffect) (Old, []OldEffect) {
			return closes(replaced(effects, Drain, Close)...)(o, n, nil)
		}}},
	{name: "R6 starts a next process while alone", procs: 3, left: budget{freezes: 1, upgrades: 1},
		only: []string{"O SIGSTOP", "N SIGSTOP", "N upgrade signal"},
		new: &newMutation{on: []NewEvent{Upgrade}, does: func(p, n New, effects []NewEffect) (New, []NewEffect) {
			if p.Phase == NewAlone {
				effects = []NewEffect{StartNext}
			}
			return n, effects
		}}},
	{name: "R7 does not say settled before it stops", procs: 2, left: budget{terms: 1},
		new: &newMutation{on: []NewEvent{Asked}, does: without(SaySettled)}},
	{name: "R7 does not say settled before it starts a next process", procs: 3, left: budget{kills: 1, upgrades: 1},
		only: []string{"N kill -9", "N upgrade signal"},
		new:  &newMutation{on: []NewEvent{Upgrade}, does: without(SaySettled)}},
	{name: "R7 does not obey settled once it has given up", procs: 2, left: budget{terms: 1, cancels: 1},
		old: &oldMutation{on: Settled, from: OldGivenUp, does: ignores}},
	{name: "R8 sends SIGTERM to the old process", procs: 2, left: budget{freezes: 1}, neglects: endsByKill},
	{name: "R9 obeys the abort of a dead process", procs: 2, left: budget{freezes: 1, kills: 1},
		new: &newMutation{on: []NewEvent{AbortDead}, does: func(p, _ New, _ []NewEffect) (New, []NewEffect) {
			return p.Step(Abort)
		}}},
	{name: "R9 says abort(stop) after it has begun to stop", procs: 2, left: budget{terms: 1, kills: 1},
		old: &oldMutation{on: Stop, from: OldStarting, does: func(_, n Old, _ []OldEffect) (Old, []OldEffect) {
			return n, []OldEffect{StopService, SayAbortStop}
		}}},
	{name: "R10 does not look after the pid file", procs: 2, left: budget{kills: 1, freezes: 1},
		new: &newMutation{on: []NewEvent{OldEnded}, does: without(Inspect)}},
	{name: "a stop while it waits leaves a commit valid", procs: 2, left: budget{freezes: 1, terms: 1},
		new: &newMutation{on: []NewEvent{Asked, Broken}, does: func(p, n New, effects []NewEffect) (New, []NewEffect) {
			if p.Phase == NewWaiting {
				n.Phase = NewWaiting
			}
			return n, effects
		}}},
	{name: "settled is passed over while the start fails", procs: 2, left: budget{freezes: 1, terms: 1, cancels: 1},
		old: &oldMutation{on: Settled, from: OldStarting, does: ignores}},
	{name: "one that has not been heard since confirm is taken back from", procs: 3, left: budget{upgrades: 1, deafs: 1},
		only: []string{"N upgrade signal", "N can't be heard any more"},
		old:  &oldMutation{on: Deaf, from: OldAsked, does: takesBack}},
	{name: "one that was given up is not told of another", procs: 3, left: budget{freezes: 1, upgrades: 1},
		only: []string{"N SIGSTOP", "O upgrade signal"},
		old:  &oldMutation{on: Another, does: ignores}},
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
	effects = slices.Clone(effects)
	for i := range effects {
		if effects[i] == from {
			effects[i] = to
		}
	}
	return effects
}

// TestModelTeeth takes out one rule after the other, and one duty of package core. A search that finds
// nothing then is one that would not notice if the product lost that.
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
	if x := m.old; x != nil {
		w.oldStep = func(o Old, e OldEvent) (Old, []OldEffect) {
			n, effects := o.Step(e)
			if e == x.on && (x.from == OldIdle || o.Phase == x.from) && (x.to == OldIdle || n.Phase == x.to) {
				return x.does(o, n, effects)
			}
			return n, effects
		}
	}
	if x := m.new; x != nil {
		w.newStep = func(p New, e NewEvent) (New, []NewEffect) {
			n, effects := p.Step(e)
			if slices.Contains(x.on, e) {
				return x.does(p, n, effects)
			}
			return n, effects
		}
	}
	return w
}
