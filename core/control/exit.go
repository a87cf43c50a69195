package control

import (
	"context"
	"errors"
)

// These are the exit statuses of the command gracex, and of Command. Scripts rely on them.
const (
	ExitOK          = 0   // it worked
	ExitFailed      = 1   // the new version did not become ready, or something else went wrong
	ExitUsage       = 2   // the command line is wrong
	ExitNotFound    = 3   // no app was found, or it is not clear which
	ExitRefused     = 4   // the app, or the system, does not allow it now
	ExitRolledBack  = 5   // the new version was bad on probation, and the old one serves
	ExitTimedOut    = 6   // it took too long
	ExitInterrupted = 130 // interrupted by Ctrl-C, as shells count it: 128 + SIGINT
)

// ExitStatus returns the exit status for an error of this package.
func ExitStatus(err error) int {
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrHangs):
		return ExitTimedOut
	case errors.Is(err, ErrRefused), errors.Is(err, ErrPermission), errors.Is(err, ErrUntrusted), errors.Is(err, ErrNoRelease):
		return ExitRefused
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrAmbiguous), errors.Is(err, ErrStale),
		errors.Is(err, ErrForeign), errors.Is(err, ErrVersion):
		return ExitNotFound
	}
	return ExitFailed
}

// ExitStatus returns the exit status for the outcome.
func (o Outcome) ExitStatus() int {
	switch {
	case o.OK:
		return ExitOK
	case o.Kind == KindRefused:
		return ExitRefused
	case o.Kind == KindRolledBack:
		return ExitRolledBack
	case o.Kind == KindTimedOut:
		return ExitTimedOut
	}
	return ExitFailed
}
