package main

import (
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/wire"
)

// step is a moment of an upgrade at which a fault can come. The frame that a step is
// named after has been sent and was not received.
type step string

// The steps, in their order.
const (
	stepBegin     step = "begin"          // the upgrade is about to be asked for
	stepStart     step = "start"          // the new process is there, its program not yet
	stepHello     step = "hello"          // the new program says that it speaks the protocol
	stepReady     step = "ready"          // the new program says that it can serve
	stepTickets   step = "tickets"        // the old process says the keys of session tickets
	stepCommit    step = "commit"         // the old process has handed over
	stepProbation step = "probation"      // the new process accepts, and answers the first ping
	stepOffer     step = "offer"          // the old process sends connections, of HTTP/1
	stepTaken     step = "taken"          // the new process says which it has taken
	stepTLSOffer  step = "tls-offer"      // the old process sends connections over TLS, likewise
	stepTLSTaken  step = "tls-taken"      // the new process says which it has taken
	stepLast      step = "last-pong"      // the new process gives the answer that its probation ends upon
	stepConfirm   step = "confirm"        // the old process says that the probation is passed
	stepConfirmed step = "confirmed"      // the new process says that it goes on by itself
	stepDrain     step = "drain"          // the old process has heard that, and has work left
	stepH2Offer   step = "h2-offer"       // it sends HTTP/2 connections, which move after a probation only
	stepH2Taken   step = "h2-taken"       // the new process says which it has taken
	stepWSOffer   step = "ws-offer"       // the old process sends WebSockets, likewise
	stepWSTaken   step = "ws-taken"       // the new process says which it has taken
	stepLateOffer step = "tls-late-offer" // the old process sends connections over TLS when it can't take its commit back any more
	stepLateTaken step = "tls-late-taken" // the new process says which it has taken
	stepAdopted   step = "adopted"        // the old process has heard that, and the new one's servers are told what they have got
)

var steps = []step{
	stepBegin, stepStart, stepHello, stepReady, stepTickets, stepCommit,
	stepProbation, stepOffer, stepTaken, stepTLSOffer, stepTLSTaken, stepLast, stepConfirm, stepConfirmed, stepDrain,
	stepH2Offer, stepH2Taken, stepWSOffer, stepWSTaken, stepLateOffer, stepLateTaken, stepAdopted,
}

// offered is what an offer has of, and whether it was made late: the old process could not take its commit back any more.
type offered struct{ http2, webSockets, tls, late bool }

// webSocketPrefix is what wsmove's names begin with.
const webSocketPrefix = "wsmove."

func offeredIn(f wire.Frame) (o offered) {
	msg, _, _ := f.DecodeOffer() // on an error there is none of these
	for _, c := range msg.Conns {
		o.http2 = o.http2 || c.IsHTTP2()
		o.webSockets = o.webSockets || strings.HasPrefix(c.Name, webSocketPrefix)
		o.tls = o.tls || c.TLS > 0
	}
	return o
}

// stepsOf names the steps that a frame is. due says whether the time of a probation is over, and o what the offer has
// of that the frame is, or answers.
func stepsOf(f wire.Type, due bool, o offered) (at []step) {
	switch f {
	case wire.Pong:
		if due {
			return []step{stepLast}
		}
		return []step{stepProbation}
	case wire.Offer, wire.Taken:
		if o.http2 {
			at = append(at, "h2-"+step(f.String()))
		}
		if o.webSockets {
			at = append(at, "ws-"+step(f.String()))
		}
		if o.tls {
			at = append(at, "tls-"+step(f.String()))
		}
		if o.tls && o.late {
			at = append(at, "tls-late-"+step(f.String()))
		}
		if at == nil {
			at = []step{step(f.String())}
		}
		return at
	case wire.Hello, wire.Ready, wire.Tickets, wire.Commit, wire.Confirm, wire.Confirmed:
		return []step{step(f.String())}
	}
	return nil
}

// after is the step that comes when a frame that is these steps was read; empty for none.
func after(at []step) step {
	switch {
	case slices.Contains(at, stepConfirmed):
		return stepDrain
	case slices.Contains(at, stepH2Taken), slices.Contains(at, stepWSTaken), slices.Contains(at, stepLateTaken):
		return stepAdopted
	}
	return ""
}

// depends reports whether only some programs get to the step.
func (s step) depends() bool {
	return s == stepTickets || s == stepAdopted || strings.HasSuffix(string(s), "offer") || strings.HasSuffix(string(s), "taken")
}

// onProbation reports whether there is no such step without a probation.
func (s step) onProbation() bool {
	return s == stepProbation || s == stepLast || s == stepConfirm
}

// fault is what goes wrong: one of faults.
type fault string

// Those that matter beyond what they do.
const (
	faultNone     fault = "none"
	faultKillOld  fault = "kill-old"
	faultStopNew  fault = "stop-new"
	faultFilesNew fault = "emfile-new"
	faultDisk     fault = "enospc"
)

// outcome is the process that serves when the dust has settled, or several that may, with "or".
type outcome string

// The outcomes.
const (
	oldServes  outcome = "old"         // the old process serves on
	newServes  outcome = "new"         // the new one serves
	rolledBack outcome = "rolled back" // the old one had handed over, and serves again
	ended      outcome = "ended"       // no process does: always wrong
	stranger   outcome = "stranger"    // a third one does: always wrong

	either   = oldServes + " or " + newServes
	back     = oldServes + " or " + rolledBack
	unsure   = newServes + " or " + rolledBack
	whatever = either + " or " + rolledBack
)

// allows reports whether one is among the outcomes.
func (o outcome) allows(one outcome) bool {
	return slices.Contains(strings.Split(string(o), " or "), string(one))
}

// cell is one upgrade to try: a fault at a step.
type cell struct {
	step  step
	fault fault
	// final is what has to come of it where a commit is the last word, onProbation where
	// the new process is on probation then. If it is empty there is no such cell.
	final, onProbation outcome
}

func (c cell) String() string { return string(c.step) + "/" + string(c.fault) }

// want is what has to come of it.
func (c cell) want(probation bool) outcome {
	if probation {
		return c.onProbation
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
	whyProbation = "a new process on probation that does not answer has failed"
	whyDrains    = "the old process drains; what the other says, or does not say, ends nothing but its way back"
	whyDeaf      = "the new process lives, and may have read that it has passed: the old one drains"
	whyBack      = "nothing is given up before it is acknowledged, and while the old process drains it can serve again"
	whyAsked     = "the new process was told that it has passed, and does not acknowledge it: it is killed"
	whyWoke      = "none of them has hung; the one that looks at the clock first may think so"
	whyOwner     = "what is not answered for stays with the old process, and over TLS is closed"
	whyHolds     = "what was said holds"
	whyCommits   = "the old process hands over with the next word, which the kit has not heard yet, or has"
)

// promises say what has to come of faults at steps: final where a commit is the last
// word, onProbation with a probation. At a step that only a probation has, final means nothing.
var promises = []struct {
	faults, steps      string
	final, onProbation outcome
	why                string
}{
	{"none", "begin", newServes, newServes, ""},
	{"emfile-old", "begin", oldServes, oldServes, "nothing can be started"},
	{"enospc", "begin", oldServes, oldServes, "the new process prepares its pid file before it says ready"},
	{"deleted no-program script", "begin", oldServes, oldServes, "there is nothing to start that serves"},

	{"kill-old", "start hello ready", newServes, newServes, whyTakeover},
	{"kill-old", "commit probation taken tls-taken last-pong confirm confirmed drain", newServes, newServes, "what was said holds"},
	{"kill-old", "offer tls-offer", newServes, newServes, "what was on its way is the new process's"},
	{"kill-new", "start hello", oldServes, oldServes, "it was not ready"},
	{"kill-new", "ready", oldServes, oldServes, "ready has come, and its sender is not there any more: the old process looks once more"},
	{"kill-new", "commit offer tls-offer confirm confirmed drain", rolledBack, rolledBack, whyBack},
	{"kill-new", "probation", rolledBack, rolledBack, whyProbation},
	{"kill-new", "taken tls-taken", rolledBack, rolledBack, "what it had taken dies with it"},
	{"kill-new", "last-pong", rolledBack, rolledBack, "the answer is in the queue, and its sender is not there any more; " + whyBack},

	{"stop-old", "start hello ready", newServes, newServes, whyFound},
	{"stop-old", "commit drain", newServes, newServes, "what was said holds"},
	{"stop-old", "probation offer taken tls-offer tls-taken last-pong confirm", newServes, unsure, whyWoke},
	{"stop-old", "confirmed", unsure, unsure, whyWoke},
	{"long-stop-old", "start ready", newServes, newServes, whyGaveUp},
	{"stop-new", "start", either, either, whyReadyTime},
	{"stop-new", "hello", either, whatever, "it may have said ready before it stood still; else " + whyReadyTime},
	{"stop-new", "ready commit probation", rolledBack, rolledBack, whyProbation},
	{"stop-new", "offer taken tls-offer tls-taken", unsure, rolledBack, whyProbation},
	{"stop-new", "last-pong confirm", rolledBack, rolledBack, whyAsked},
	{"stop-new", "confirmed drain", newServes, newServes, whyDrains},
	{"suspend", "start hello ready", either, either, whyReadyTime},
	{"suspend", "commit probation offer taken tls-offer tls-taken last-pong confirm confirmed", unsure, unsure, whyWoke},
	{"suspend", "drain", newServes, newServes, "both go on with it"},
	{"slow", "start", newServes, newServes, "it has the time"},

	{"cut truncate garbage", "hello ready", oldServes, oldServes, whyHungUp},
	{"cut truncate", "commit", newServes, rolledBack, "the new process takes the old one for dead, and the old one the new one"},
	{"garbage", "commit", newServes, rolledBack, "the new process closes what it does not understand"},
	{"cut truncate garbage", "probation last-pong", rolledBack, rolledBack, whyProbation},
	{"cut truncate", "offer tls-offer", newServes, rolledBack, whyOwner},
	{"garbage", "offer tls-offer", newServes, rolledBack, "the new process closes the handover socket, and takes nothing"},
	{"cut truncate", "taken tls-taken", newServes, rolledBack, "the new process has taken what the old one has no answer for"},
	{"garbage", "taken tls-taken", newServes, unsure, "the old process gives up what it has offered last"},
	{"cut truncate garbage", "confirm confirmed", newServes, newServes, whyDeaf},
	{"cut", "drain", newServes, newServes, whyDrains},

	{"kill-old", "tickets", newServes, newServes, whyTakeover},
	{"kill-new", "tickets", back, back, whyCommits},
	{"stop-old", "tickets", newServes, newServes, whyFound},
	{"stop-new", "tickets", rolledBack, rolledBack, whyProbation},
	{"suspend", "tickets", unsure, unsure, whyWoke},
	{"cut truncate garbage", "tickets", whatever, back, whyCommits},

	{"kill-old", "h2-offer ws-offer tls-late-offer", newServes, newServes, "what was on its way is the new process's"},
	{"kill-old", "h2-taken ws-taken tls-late-taken adopted", newServes, newServes, whyHolds},
	{"kill-new", "h2-offer h2-taken ws-offer ws-taken tls-late-offer tls-late-taken adopted", rolledBack, rolledBack, whyBack},
	{"stop-old", "h2-offer h2-taken ws-offer ws-taken tls-late-offer tls-late-taken adopted", newServes, newServes, whyHolds},
	{"stop-new", "h2-offer h2-taken ws-offer ws-taken tls-late-offer tls-late-taken adopted", newServes, newServes, whyDrains},
	{"suspend", "h2-offer h2-taken ws-offer ws-taken tls-late-offer tls-late-taken adopted", newServes, newServes, "both go on with it"},
	{"cut truncate garbage", "h2-offer h2-taken ws-offer ws-taken tls-late-offer tls-late-taken", newServes, newServes, whyDeaf},
	{"cut", "adopted", newServes, newServes, whyDrains},

	{"emfile-old", "ready", newServes, newServes, "a handover opens nothing"},
	{"emfile-new", "start", oldServes, oldServes, "the program can't even start"},
	{"emfile-new", "offer", newServes, newServes, "the kernel drops the descriptors; " + whyOwner},
}

// shortForm names the cells of the short form.
var shortForm = strings.Fields(`
	begin/none begin/enospc hello/garbage ready/kill-old ready/kill-new ready/cut commit/kill-old commit/kill-new
	probation/kill-new probation/stop-new offer/kill-old last-pong/kill-new confirm/kill-new confirm/cut
	confirmed/kill-new drain/kill-old drain/kill-new
	h2-offer/kill-old h2-taken/kill-new ws-offer/kill-new tls-taken/cut tls-late-offer/kill-old`)

// begin is the upgrade without a fault, which has to go well before anything else is tried.
var begin = cell{stepBegin, faultNone, newServes, newServes}

// table lists the cells, by their steps.
var table = cells()

func cells() (all []cell) {
	for _, s := range steps {
		for _, p := range promises {
			if !slices.Contains(strings.Fields(p.steps), string(s)) {
				continue
			}
			if s.onProbation() {
				p.final = ""
			}
			for f := range strings.FieldsSeq(p.faults) {
				all = append(all, cell{s, fault(f), p.final, p.onProbation})
			}
		}
	}
	return all
}

// choose lists the cells that the options name, for a program that has a probation or
// not, and moves connections of each kind or not.
func (o *options) choose(seen heard) (chosen []cell) {
	for _, c := range table {
		switch {
		case c.fault == faultNone, c.want(seen.onProbation) == "":
		case c.step.depends() && !slices.Contains(seen.seen, c.step):
		case o.short && !slices.Contains(shortForm, c.String()):
		case o.cells != nil && !o.cells.MatchString(c.String()):
		default:
			chosen = append(chosen, c)
		}
	}
	return chosen
}
