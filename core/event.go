package core

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/core/internal/text"
)

// Event is something that has happened in the life of a service: see the Step constants of package control.
type Event = control.Event

// OnEvent adds a function that is called with each event of this process, for a chat, an annotation in a dashboard, or an
// audit log. The events of an upgrade happen in two processes, each of which calls its own functions: the old one from
// control.StepBegun to control.StepDrained, and the new one from control.StepStarting to control.StepConfirmed. Attempt is
// the same in both. So each event of a service is told once.
//
// The functions are called one after the other, by a goroutine of their own, in the order of the events. They hold
// nothing up. If one blocks while 256 events wait, the log says so, and the events after these are lost. A process that
// drains waits for them, 2 s at most, and calls the OnEnd hooks after that. A panic is logged.
func OnEvent(f func(Event)) Option {
	return func(c *config) {
		if f != nil {
			c.onEvent = append(c.onEvent, f)
		}
	}
}

// WithUpgradeContext sets a function that is called in the old process when an upgrade begins, before anything else, with
// the event control.StepBegun. What it returns, at most 4 KiB, is in the Context of all events of this upgrade, in both
// processes: the traceparent of a trace (https://www.w3.org/TR/trace-context/), for example. The upgrade waits for it,
// until the ready timeout. A panic is logged, and the Context is empty then. Whoever may use the control socket can read it.
func WithUpgradeContext(f func(begun Event) string) Option {
	return func(c *config) { c.upgradeContext = f }
}

// upgradeName is by what the events of an upgrade are known.
type upgradeName struct{ attempt, context string }

// newAttemptName makes a name that no other upgrade has: as long as the ID of a trace.
func newAttemptName() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it returns no error: crypto/rand
	return hex.EncodeToString(b)
}

// begins tells that the attempt begins, and gives its events their context.
func (a *attempt) begins() {
	u := a.u
	if u.checking.Store(a.change.check); a.change.check {
		return // it is no upgrade
	}
	a.name.attempt = newAttemptName()
	e := u.fill(Event{Step: control.StepBegun, Time: a.began, Attempt: a.name.attempt, Text: "an upgrade begins"})
	if f := u.cfg.upgradeContext; f != nil {
		ctx, cancel := context.WithTimeout(a.ctx, u.cfg.readyTimeout)
		defer cancel()
		result := make(chan string, 1)
		err := runHook(ctx, func(context.Context) error { result <- f(e); return nil })
		if err != nil && a.ctx.Err() == nil {
			u.log.Error("the function of WithUpgradeContext has failed", "error", err)
		}
		select {
		case s := <-result:
			a.name.context = text.Reason(s)
		default:
		}
	}
	e.Context = a.name.context
	u.upgrade.Store(&a.name)
	u.happened(e)
}

// note tells of a step of an upgrade. pid is the new process's, 0 without one.
func (u *Upgrader) note(step string, pid int) { u.noteText(step, pid, stepTexts[step]) }

// noteText is note with words of its own.
func (u *Upgrader) noteText(step string, pid int, text string) {
	e := Event{Step: step, PID: pid, Text: text}
	if step == control.StepProbation {
		e.Probation = u.cfg.probation
	}
	u.happened(e)
}

// noteDrain tells of a drain, or of what is left of it.
func (u *Upgrader) noteDrain(step, text string, remaining, total int) {
	u.happened(Event{Step: step, PID: os.Getpid(), Text: text, Remaining: remaining, Total: total})
}

// noteDrained tells that the drain of this process is over.
func (u *Upgrader) noteDrained(handedOver bool) {
	step, text := control.StepStopped, u.cutText()
	if handedOver {
		step = control.StepDrained
	}
	u.noteDrain(step, text, 0, 0)
}

// cutText says what a drain has cut.
func (u *Upgrader) cutText() string {
	if cut := u.ledger().Cut; !cut.none() {
		return "cut: " + cut.String()
	}
	return "nothing was cut"
}

var stepTexts = map[string]string{
	control.StepQueued:    "an upgrade is in progress: one more follows it",
	control.StepHooksDone: "the hooks before the start have returned",
	control.StepStarted:   "the new process runs",
	control.StepReady:     "the new process is ready",
	control.StepProbation: "the new process accepts; the old one serves again if it turns out to be bad",
	control.StepConfirmed: "the new process goes on by itself",
	control.StepTakenBack: "the new process is gone, and the old one serves again",
	control.StepStarting:  "this process starts",
	control.StepChecking:  "the servers are set up, and the ready checks run",
	control.StepSaidReady: "this process is ready",
	control.StepServing:   "this process accepts",
}

// happened tells everybody of an event of this process.
func (u *Upgrader) happened(e Event) { u.happenedIn(u.upgrade.Load(), e) }

// happenedIn is happened for an event of another upgrade than the one that is in progress, or with nil, of none.
func (u *Upgrader) happenedIn(name *upgradeName, e Event) {
	if name != nil {
		e.Attempt, e.Context = name.attempt, name.context
	}
	e = u.fill(e)
	if u.silent || u.checking.Load() && ofCheck(e.Step) { // for the client of the check alone
		u.events.show(e)
		return
	}
	u.events.add(e)
	u.eventHooks.call(e)
	u.teller.pass([]Event{e}, nil)
}

// ofCheck reports whether a check has such a step.
func ofCheck(step string) bool {
	switch step {
	case control.StepHooksDone, control.StepStarted, control.StepReady, control.StepWarning:
		return true
	}
	return false
}

// fill completes an event of this process, once.
func (u *Upgrader) fill(e Event) Event {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.ID == "" {
		e.By, e.Generation, e.Version = os.Getpid(), u.generation, u.cfg.version
		e.ID = fmt.Sprintf("%d-%d-%x-%d", e.Generation, e.By, startedAt.UnixMilli(), eventNumber.Add(1))
	}
	return e
}

var eventNumber atomic.Uint64

// hear takes events that another process has told, and tells those that are new to all others.
func (u *Upgrader) hear(list []Event, from *partner) {
	var fresh []Event
	for _, e := range list {
		itself := e.By == os.Getpid() && e.Generation == u.generation
		if e.ID != "" && !itself && u.events.add(e) {
			fresh = append(fresh, e)
		}
	}
	u.teller.pass(fresh, from)
}
