package control

import (
	"encoding/json"
	"io"

	"github.com/gracex-go/gracex/core/internal/text"
)

// Report is what a command has come to: the outcome of the upgrade, as far as it is known, and the exit status.
// It is the object that "gracex upgrade --json" prints.
type Report struct {
	Outcome
	ExitStatus int `json:"exit_status"` // see ExitOK and the others
}

// These are the kinds of a Report without the outcome of an upgrade.
const (
	KindStarted = "started" // the new process runs, and the outcome was not waited for
	KindUnknown = "unknown" // the outcome is not known, or nothing was begun; the reason says why
)

// NewReport returns the report of what Client.Upgrade has returned, or of an error before it, with the zero Outcome.
// One of the two has to be given.
func NewReport(o Outcome, err error) Report {
	switch {
	case o.Kind == "":
		return Report{Outcome{Kind: KindUnknown, Reason: err.Error()}, ExitStatus(err)}
	case o.OK && err != nil: // the drain was not watched to its end
		o.Reason = err.Error()
		return Report{o, ExitStatus(err)}
	}
	return Report{o, o.ExitStatus()}
}

// WriteJSON writes v as one line of JSON, for a terminal too: characters that would do something to it are escaped.
// The meaning is that of v.
func WriteJSON(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err == nil {
		_, err = w.Write(append(text.JSON(b), '\n'))
	}
	return err
}

type wireReport struct {
	wireOutcome
	ExitStatus int `json:"exit_status"`
}

// MarshalJSON writes durations in milliseconds.
func (r Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireReport{r.wire(), r.ExitStatus})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Report) UnmarshalJSON(b []byte) error {
	var w wireReport
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &r.Outcome); err != nil {
		return err
	}
	r.ExitStatus = w.ExitStatus
	return nil
}
