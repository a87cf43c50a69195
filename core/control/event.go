package control

import (
	"encoding/json"
	"time"
)

// These are the steps of an upgrade, in the order in which they come. An upgrade that works
// always has StepStarted, StepReady and its last step. The others depend on its course.
const (
	StepQueued     = "queued"      // another upgrade was requested, and follows this one
	StepStarted    = "started"     // the new process runs
	StepReady      = "ready"       // the new process has reported that it is ready
	StepProbation  = "probation"   // the new process accepts, and the old one can still serve again
	StepConfirmed  = "confirmed"   // the new process goes on by itself
	StepDraining   = "draining"    // the old process finishes its work
	StepDrained    = "drained"     // the old process has finished
	StepFailed     = "failed"      // the new process never got ready
	StepRolledBack = "rolled_back" // the old process took the service back on probation
	StepTakenBack  = "taken_back"  // the new process ended during the drain, and the old one serves again
	StepRefused    = "refused"     // no new process was started
	StepWarning    = "warning"     // at any time: a likely mistake, which does not end the upgrade
)

// Event is one step of an upgrade, and one line of the stream.
type Event struct {
	Time      time.Time     `json:"time"`
	Step      string        `json:"step"`
	PID       int           `json:"pid,omitempty"`       // of the process concerned; 0 for none
	Text      string        `json:"text,omitempty"`      // in words
	Remaining int           `json:"remaining,omitempty"` // connections that the old process still has, in a drain
	Total     int           `json:"total,omitempty"`     // connections that it had when the drain began
	Probation time.Duration `json:"-"`                   // how long the probation lasts, in StepProbation; "probation_ms" on the wire
}

// These are the kinds of an Outcome.
const (
	KindUpgraded   = "upgraded"
	KindRefused    = "refused"
	KindFailed     = "failed"
	KindRolledBack = "rolled_back"
	KindTimedOut   = "timed_out"
)

// Outcome is the result of an upgrade.
type Outcome struct {
	OK            bool          `json:"ok"`
	Kind          string        `json:"kind"` // see KindUpgraded and the others
	OldPID        int           `json:"old_pid"`
	NewPID        int           `json:"new_pid,omitempty"` // 0 if no process was started
	OldGeneration int           `json:"old_generation"`
	Generation    int           `json:"generation"` // of the process that is current now
	OldVersion    string        `json:"old_version,omitempty"`
	Version       string        `json:"version,omitempty"`  // of the new process; empty if unknown
	Took          time.Duration `json:"-"`                  // from the request to this outcome; "took_ms" on the wire
	Reason        string        `json:"reason,omitempty"`   // why the upgrade failed
	Stderr        []string      `json:"stderr,omitempty"`   // the last lines that the new process wrote
	Warnings      []string      `json:"warnings,omitempty"` // the texts of StepWarning
	Left          string        `json:"left,omitempty"`     // the foreign master that ends after the old process's drain; empty for none
	Exit          string        `json:"exit,omitempty"`     // how the new process ended, such as "exit status 1"; empty if it had not ended, or the old process ended it
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
