package release

import (
	"errors"
	"time"
)

var (
	// ErrNotAccepted means that the release must not be used: its signature, its content or its age is wrong, or it
	// was taken back before. Nothing was started.
	ErrNotAccepted = errors.New("release: not accepted")

	// ErrNotTried means that the release could not be tried for now, and may be later: the origin is away, the disk is
	// full, or a file can't be written. Nothing was changed.
	ErrNotTried = errors.New("release: could not be tried")

	// ErrBusy means that another deploy of this app runs.
	ErrBusy = errors.New("release: another deploy runs")
)

// WaitError is an ErrNotTried of a source that has said when to ask again, by Retry-After or X-RateLimit-Reset.
type WaitError struct {
	Wait time.Duration // from now on
	Err  error
}

func (e *WaitError) Error() string   { return e.Err.Error() }
func (e *WaitError) Unwrap() []error { return []error{ErrNotTried, e.Err} }
