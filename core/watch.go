package core

import (
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// watchers are those who follow an upgrade. Nothing that they do or don't holds it up.
type watchers struct {
	mu  sync.Mutex
	set map[chan control.Event]struct{}
}

// maxUnseen is how many steps wait for a watcher; an upgrade has about six.
const maxUnseen = 64

// add returns a channel that gets every step from here on.
func (w *watchers) add() chan control.Event {
	ch := make(chan control.Event, maxUnseen)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == nil {
		w.set = make(map[chan control.Event]struct{})
	}
	w.set[ch] = struct{}{}
	return ch
}

func (w *watchers) remove(ch chan control.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.set, ch)
}

// note tells the watchers of a step of an upgrade. pid is the new process's, 0 without
// one.
func (u *Upgrader) note(step string, pid int) {
	u.noteText(step, pid, stepTexts[step])
}

// noteText is note with words of its own.
func (u *Upgrader) noteText(step string, pid int, text string) {
	e := control.Event{Time: time.Now(), Step: step, PID: pid, Text: text}
	if step == control.StepProbation {
		e.Probation = u.cfg.probation
	}
	u.watchers.mu.Lock()
	defer u.watchers.mu.Unlock()
	for ch := range u.watchers.set {
		select {
		case ch <- e:
		default: // it does not look
		}
	}
}

var stepTexts = map[string]string{
	control.StepQueued:    "an upgrade is in progress: one more follows it",
	control.StepStarted:   "the new process runs",
	control.StepReady:     "the new process is ready",
	control.StepProbation: "the new process accepts; the old one serves again if it turns out to be bad",
	control.StepConfirmed: "the new process goes on by itself",
	control.StepTakenBack: "the new process is gone, and the old one serves again",
}
