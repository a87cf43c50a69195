package release

import (
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// The kinds of an Event, in the order of a deploy.
const (
	EventOffered   = "offered"   // a manifest came, with a good signature
	EventUnchanged = "unchanged" // the source has nothing new
	EventSkipped   = "skipped"   // the release is not for this host, or not yet; Text says why
	EventWaiting   = "waiting"   // something is tried again later; Text says what and when
	EventFetching  = "fetching"  // Done of Total bytes are here
	EventVerified  = "verified"  // the program is what the manifest says, and this machine can run it
	EventRefused   = "refused"   // the release is not accepted; Text says why
	EventStaged    = "staged"    // the release is durable in releases/
	EventTrying    = "trying"    // the app is asked for the upgrade
	EventStep      = "step"      // a step of the upgrade, in Step
	EventCurrent   = "current"   // the next start gets Release
	EventBad       = "bad"       // the release is never tried again by itself; Text says why
	EventRecovered = "recovered" // what a deploy that was ended has left is put in order
	EventPruned    = "pruned"    // Release is removed
	EventHeld      = "held"      // nothing is followed until the hold is released
	EventWarning   = "warning"   // something beside the deploy went wrong; Text says what
)

// Event is a step of a deploy.
type Event struct {
	Kind    string         `json:"kind"`
	Time    time.Time      `json:"time"`
	Release string         `json:"release,omitempty"` // the directory's name in releases/, once it is known
	Text    string         `json:"text,omitempty"`    // for a person
	Done    int64          `json:"done,omitempty"`    // bytes
	Total   int64          `json:"total,omitempty"`   // bytes
	Step    *control.Event `json:"step,omitempty"`
}
