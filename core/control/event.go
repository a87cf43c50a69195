package control

import (
	"encoding/json"
	"time"
)

// The steps of an upgrade, in the order in which they come. Only StepStarted,
// StepReady and what ends it come with every upgrade that works.
const (
	StepQueued     = "queued"      // not started: one more follows the upgrade in progress
	StepStarted    = "started"     // the new process runs
	StepReady      = "ready"       // it has said ready
	StepProbation  = "probation"   // it accepts, and the old process can still take over again
	StepConfirmed  = "confirmed"   // the new process goes on by itself
	StepDraining   = "draining"    // the old process finishes what it has
	StepDrained    = "drained"     // it has finished
	StepFailed     = "failed"      // the new process never got ready
	StepRolledBack = "rolled_back" // it was taken back on probation
	StepTakenBack  = "taken_back"  // it ended while the old process drained, which serves again
	StepRefused    = "refused"     // no new process was started
)

// Event is one step of an upgrade: one line of the stream.
type Event struct {
	Time      time.Time     `json:"time"`
	Step      string        `json:"step"`
	PID       int           `json:"pid,omitempty"`       // of the process that it is about; 0: none
	Text      string        `json:"text,omitempty"`      // in words
	Remaining int           `json:"remaining,omitempty"` // of a drain: connections that the old process still has
	Total     int           `json:"total,omitempty"`     // of a drain: how many it had at its beginning
	Probation time.Duration `json:"-"`                   // of StepProbation: how long it lasts; "probation_ms" on the wire
}

// Kinds of an Outcome.
const (
	KindUpgraded   = "upgraded"
	KindRefused    = "refused"
	KindFailed     = "failed"
	KindRolledBack = "rolled_back"
	KindTimedOut   = "timed_out"
)

// Outcome is how an upgrade ended.
type Outcome struct {
	OK            bool          `json:"ok"`
	Kind          string        `json:"kind"` // see KindUpgraded and the others
	OldPID        int           `json:"old_pid"`
	NewPID        int           `json:"new_pid,omitempty"` // 0: no process was started
	OldGeneration int           `json:"old_generation"`
	Generation    int           `json:"generation"` // the one that is current now
	OldVersion    string        `json:"old_version,omitempty"`
	Version       string        `json:"version,omitempty"` // the new process's; empty: not known
	Took          time.Duration `json:"-"`                 // from being asked to this outcome; "took_ms" on the wire
	Reason        string        `json:"reason,omitempty"`  // why it did not work
	Stderr        []string      `json:"stderr,omitempty"`  // the last lines that the new process wrote
	Left          string        `json:"left,omitempty"`    // the foreign master that ends once the old process has drained; empty: none
	Exit          string        `json:"exit,omitempty"`    // how it ended, such as "exit status 1"; empty: it was ended, or had not
}

type (
	plainEvent   Event
	plainOutcome Outcome
	wireEvent    struct {
		plainEvent
		ProbationMillis int64 `json:"probation_ms,omitempty"`
	}
	wireOutcome struct {
		plainOutcome
		TookMillis int64 `json:"took_ms"`
	}
)

// MarshalJSON writes durations in milliseconds.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireEvent{plainEvent(e), e.Probation.Milliseconds()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (e *Event) UnmarshalJSON(b []byte) error {
	var w wireEvent
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = Event(w.plainEvent)
	e.Probation = time.Duration(w.ProbationMillis) * time.Millisecond
	return nil
}

// MarshalJSON writes durations in milliseconds.
func (o Outcome) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireOutcome{plainOutcome(o), o.Took.Milliseconds()})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (o *Outcome) UnmarshalJSON(b []byte) error {
	var w wireOutcome
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*o = Outcome(w.plainOutcome)
	o.Took = time.Duration(w.TookMillis) * time.Millisecond
	return nil
}
