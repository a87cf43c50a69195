package control

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
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

// These are further events in the life of a service. The stream of an upgrade does not have them, and Client.Events does.
const (
	// In the old process:
	StepBegun     = "begun"      // an upgrade was asked for and begins; the pre-fork hooks follow
	StepHooksDone = "hooks_done" // the pre-fork hooks have returned
	StepMoved     = "moved"      // no more connections move; Total is how many have
	StepConcluded = "concluded"  // the upgrade has an Outcome; it comes for one that was refused, too

	// In the new process, or in the first one:
	StepStarting  = "starting"   // its Upgrader was made; Time is when the process began
	StepChecking  = "checking"   // its servers are set up, and the ready checks run
	StepSaidReady = "said_ready" // the ready checks have passed, and the old process was told
	StepServing   = "serving"    // it accepts

	// In any process:
	StepStopping = "stopping" // the service was asked to stop, and this process drains
	StepStopped  = "stopped"  // it has finished
)

// Event is something that has happened in the life of a service: a step of an upgrade, the start or the stop of a process.
type Event struct {
	Time      time.Time     `json:"time"`
	Step      string        `json:"step"`
	PID       int           `json:"pid,omitempty"`       // of the process concerned; 0 for none
	Text      string        `json:"text,omitempty"`      // in words
	Remaining int           `json:"remaining,omitempty"` // connections that the old process still has, in a drain
	Total     int           `json:"total,omitempty"`     // connections that it had when the drain began; in StepMoved those that have moved
	Probation time.Duration `json:"-"`                   // how long the probation lasts, in StepProbation; "probation_ms" on the wire

	// The rest is empty in the stream of an upgrade.
	ID         string   `json:"id,omitempty"`         // of this event; no other one of the service has it
	By         int      `json:"by,omitempty"`         // the process that tells it
	Generation int      `json:"generation,omitempty"` // of that process
	Version    string   `json:"version,omitempty"`    // of that process; empty if unknown
	Attempt    string   `json:"attempt,omitempty"`    // names the upgrade that it belongs to, in both processes: 32 hex digits; empty for none
	Context    string   `json:"context,omitempty"`    // what core.WithUpgradeContext has returned for that upgrade
	Outcome    *Outcome `json:"outcome,omitempty"`    // in StepConcluded
}

// These are the kinds of an Outcome.
const (
	KindUpgraded   = "upgraded"
	KindChecked    = "checked" // the new process was ready, and was ended; nothing has changed
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
	Version       string        `json:"version,omitempty"`      // of the new process; empty if unknown
	Release       string        `json:"release,omitempty"`      // that was asked for by its name; empty for that at the launch path
	Took          time.Duration `json:"-"`                      // from the request to this outcome; "took_ms" on the wire
	Reason        string        `json:"reason,omitempty"`       // why the upgrade failed
	ReasonClass   string        `json:"reason_class,omitempty"` // the class of the reason: ReasonExited or another one of these; empty if the upgrade was good
	NextStart     string        `json:"next_start,omitempty"`   // what lies at the launch path after an upgrade that was not good, in a sentence; empty if unknown
	Stderr        []string      `json:"stderr,omitempty"`       // the last lines that the new process wrote
	Warnings      []string      `json:"warnings,omitempty"`     // the texts of StepWarning
	Left          string        `json:"left,omitempty"`         // the foreign master that ends after the old process's drain; empty for none
	Exit          string        `json:"exit,omitempty"`         // how the new process ended, such as "exit status 1"; empty if it had not ended, or the old process ended it
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

// String returns the step in one line, such as "ready      process 4711: the new process is ready". What would do
// something to a terminal is escaped.
func (e Event) String() string {
	words := e.Text
	switch e.Step {
	case StepProbation:
		words += fmt.Sprintf("; for %v", e.Probation)
	case StepDraining:
		words = fmt.Sprintf("%d of %d connections left", e.Remaining, e.Total)
	}
	if e.PID != 0 {
		words = fmt.Sprintf("process %d: %s", e.PID, words)
	}
	return text.Printable(fmt.Sprintf("%-10s %s", e.Step, words))
}

// MarshalJSON writes durations in milliseconds. It cuts the text to what a line of the stream has room for.
func (e Event) MarshalJSON() ([]byte, error) {
	e.Text, e.Version, e.Context = text.Cut(e.Text, text.MaxExplained), text.Cut(e.Version, text.MaxVersion), text.Cut(e.Context, text.MaxReason)
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

// MarshalJSON writes durations in milliseconds. It cuts texts to what a line of the stream has room for.
func (o Outcome) MarshalJSON() ([]byte, error) { return json.Marshal(o.wire()) }

const (
	mostStderr   = 40 // lines in an Outcome; see core.StartError for those that there are
	mostWarnings = 8
	maxStderr    = 2 << 10 // bytes of one of them
)

// wire is the outcome as it is written. A text is bounded, and so is their number: a line that is too long would not
// be read, and the outcome not be known.
func (o Outcome) wire() wireOutcome {
	cut := func(all []string, limit int) (out []string) {
		for _, s := range all {
			out = append(out, text.Cut(s, limit))
		}
		return out
	}
	o.Reason, o.Left, o.Exit = text.Cut(o.Reason, text.MaxExplained), text.Reason(o.Left), text.Cut(o.Exit, text.MaxName)
	o.OldVersion, o.Version = text.Cut(o.OldVersion, text.MaxVersion), text.Cut(o.Version, text.MaxVersion)
	o.Kind, o.Release, o.NextStart = text.Cut(o.Kind, text.MaxName), text.Cut(o.Release, text.MaxName), text.Cut(o.NextStart, text.MaxExplained)
	o.ReasonClass = text.Cut(o.ReasonClass, text.MaxName)
	o.Stderr = cut(o.Stderr[max(len(o.Stderr)-mostStderr, 0):], maxStderr)
	o.Warnings = cut(o.Warnings[:min(len(o.Warnings), mostWarnings)], text.MaxReason)
	return wireOutcome{plainOutcome(o), o.Took.Milliseconds()}
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
