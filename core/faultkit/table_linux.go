package main

import (
	"slices"
	"strings"
)

// outcome is who serves when the dust has settled.
type outcome string

// The outcomes.
const (
	oldServes  outcome = "old"         // the old process serves on
	newServes  outcome = "new"         // the new one serves
	rolledBack outcome = "rolled back" // the old one had handed over, and serves again
	ended      outcome = "ended"       // no process does: always wrong
	stranger   outcome = "stranger"    // a third one does: always wrong
)

// outcomes are those that are right.
type outcomes []outcome

func (o outcomes) String() string {
	words := make([]string, len(o))
	for i := range o {
		words[i] = string(o[i])
	}
	return strings.Join(words, " or ")
}

var (
	old      = outcomes{oldServes}
	fresh    = outcomes{newServes}
	back     = outcomes{rolledBack}
	either   = outcomes{oldServes, newServes}
	unsure   = outcomes{newServes, rolledBack}
	whatever = outcomes{oldServes, newServes, rolledBack}
)

// cell is one upgrade to try: a fault at a step.
type cell struct {
	step  step
	fault fault
	// final is what has to come of it where a commit is the last word, trial where
	// the new process is on probation then. Without any there is no such cell.
	final, trial outcomes
}

func (c cell) String() string { return string(c.step) + "/" + string(c.fault) }

// want is what has to come of it.
func (c cell) want(probation bool) outcomes {
	if probation {
		return c.trial
	}
	return c.final
}

// Why an outcome is right.
const (
	whyTakeover  = "the new process becomes current when it is ready"
	whyReadyTime = "by the ready timeout, whose end either comes while it stands still or does not"
	whyFound     = "the old process finds ready when it goes on, and hands over, even after its own timeout"
	whyGaveUp    = "the new process waits 10 s for commit and then takes over; the old one finds ready when it goes on, and drains"
	whyHungUp    = "to the old process the new one has ended, and to the new one the old one; the old one ends what it has started"
	whyTrial     = "a new process on probation that does not answer has failed"
	whyDrains    = "the old process drains; what the other says, or does not say, ends nothing but its way back"
	whyDeaf      = "the new process lives, and may have read that it has passed: the old one drains"
	whyBack      = "nothing is given up before it is acknowledged, and while the old process drains it can serve again"
	whyAsked     = "the new process was told that it has passed, and does not acknowledge it: it is killed"
	whyWoke      = "none of them has hung; the one that looks at the clock first may think so"
	whyOwner     = "what is not answered for stays with the old process"
)

// promises say what has to come of faults at steps: final where a commit is the last
// word, trial with a probation. At a step that only a probation has, final means nothing.
var promises = []struct {
	faults, steps string
	final, trial  outcomes
	why           string
}{
	{"none", "begin", fresh, fresh, ""},
	{"emfile-old", "begin", old, old, "nothing can be started"},
	{"enospc", "begin", old, old, "the new process prepares its pid file before it says ready"},
	{"deleted no-program script", "begin", old, old, "there is nothing to start that serves"},

	{"kill-old", "start hello ready", fresh, fresh, whyTakeover},
	{"kill-old", "commit probation taken last-pong confirm confirmed drain", fresh, fresh, "what was said holds"},
	{"kill-old", "offer", fresh, fresh, "what was on its way is the new process's"},
	{"kill-new", "start hello", old, old, "it was not ready"},
	{"kill-new", "ready", old, old, "ready has come, and its sender is not there any more: the old process looks once more"},
	{"kill-new", "commit offer confirm confirmed drain", back, back, whyBack},
	{"kill-new", "probation", back, back, whyTrial},
	{"kill-new", "taken", back, back, "what it had taken dies with it"},
	{"kill-new", "last-pong", back, back, "the answer is in the queue, and its sender is not there any more; " + whyBack},

	{"stop-old", "start hello ready", fresh, fresh, whyFound},
	{"stop-old", "commit drain", fresh, fresh, "what was said holds"},
	{"stop-old", "probation offer taken last-pong confirm", fresh, unsure, whyWoke},
	{"stop-old", "confirmed", unsure, unsure, whyWoke},
	{"long-stop-old", "start ready", fresh, fresh, whyGaveUp},
	{"stop-new", "start", either, either, whyReadyTime},
	{"stop-new", "hello", either, whatever, "it may have said ready before it stood still; else " + whyReadyTime},
	{"stop-new", "ready commit probation", back, back, whyTrial},
	{"stop-new", "offer taken", unsure, back, whyTrial},
	{"stop-new", "last-pong confirm", back, back, whyAsked},
	{"stop-new", "confirmed drain", fresh, fresh, whyDrains},
	{"suspend", "start hello ready", either, either, whyReadyTime},
	{"suspend", "commit probation offer taken last-pong confirm confirmed", unsure, unsure, whyWoke},
	{"suspend", "drain", fresh, fresh, "both go on with it"},
	{"slow", "start", fresh, fresh, "it has the time"},

	{"cut truncate garbage", "hello ready", old, old, whyHungUp},
	{"cut truncate", "commit", fresh, back, "the new process takes the old one for dead, and the old one the new one"},
	{"garbage", "commit", fresh, back, "the new process closes what it does not understand"},
	{"cut truncate garbage", "probation last-pong", back, back, whyTrial},
	{"cut truncate", "offer", fresh, back, whyOwner},
	{"garbage", "offer", fresh, back, "the new process closes the handover socket, and takes nothing"},
	{"cut truncate", "taken", fresh, back, "the new process has taken what the old one has no answer for"},
	{"garbage", "taken", fresh, unsure, "the old process gives up what it has offered last"},
	{"cut truncate garbage", "confirm confirmed", fresh, fresh, whyDeaf},
	{"cut", "drain", fresh, fresh, whyDrains},

	{"emfile-old", "ready", fresh, fresh, "a handover opens nothing"},
	{"emfile-new", "start", old, old, "the program can't even start"},
	{"emfile-new", "offer", fresh, fresh, "the kernel drops the descriptors; " + whyOwner},
}

// shortForm names the cells of the short form.
var shortForm = strings.Fields(`
	begin/none begin/enospc hello/garbage ready/kill-old ready/kill-new ready/cut commit/kill-old commit/kill-new
	probation/kill-new probation/stop-new offer/kill-old last-pong/kill-new confirm/kill-new confirm/cut
	confirmed/kill-new drain/kill-old drain/kill-new`)

// begin is the upgrade without a fault, which has to go well before anything else is
// tried.
var begin = cell{stepBegin, faultNone, fresh, fresh}

// table lists the cells, by their steps.
var table = cells()

func cells() (all []cell) {
	for _, s := range steps {
		for _, p := range promises {
			if !slices.Contains(strings.Fields(p.steps), string(s)) {
				continue
			}
			for f := range strings.FieldsSeq(p.faults) {
				c := cell{s, fault(f), p.final, p.trial}
				if s.onProbation() {
					c.final = nil
				}
				all = append(all, c)
			}
		}
	}
	return all
}

// choose lists the cells that the options name, for a program that has a probation or
// not, and moves connections or not.
func (o *options) choose(seen heard) (chosen []cell) {
	moves := slices.Contains(seen.seen, stepOffer)
	for _, c := range table {
		switch {
		case c.fault == faultNone, c.want(seen.onTrial) == nil:
		case !moves && (c.step == stepOffer || c.step == stepTaken):
		case o.short && !slices.Contains(shortForm, c.String()):
		case o.cells != nil && !o.cells.MatchString(c.String()):
		default:
			chosen = append(chosen, c)
		}
	}
	return chosen
}
