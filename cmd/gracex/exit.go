package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/gracex-go/gracex/core/control"
)

// The exit codes, which are part of the interface: scripts tell by them what to do.
const (
	exitOK          = 0
	exitFailed      = 1   // the new version did not become ready, or something else went wrong
	exitUsage       = 2   // the command line is wrong
	exitNotFound    = 3   // there is no such app, or it is not clear which
	exitRefused     = 4   // the app, or the system, does not allow it now
	exitRolledBack  = 5   // the new version was bad on probation; the old one serves
	exitTimedOut    = 6   // it took too long
	exitInterrupted = 130 // Ctrl-C, as shells count it: 128 + SIGINT
)

const exitHelp = `Exit status:
  0    it worked
  1    the new version did not become ready; the old one serves on
  2    the command line is wrong
  3    no app was found, or more than one
  4    refused: an upgrade is in progress or vetoed, nothing is on probation,
       or the socket is another user's
  5    the new version was bad on probation; the old one serves again
  6    timed out
  130  interrupted by Ctrl-C; what was begun goes on in the app`

// exitError is an error with the code to exit with. A silent one has been shown already.
type exitError struct {
	code   int
	err    error
	silent bool
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// usagef is a mistake in the command line.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, control.ErrHangs):
		return exitTimedOut
	case errors.Is(err, control.ErrRefused), errors.Is(err, control.ErrPermission):
		return exitRefused
	case errors.Is(err, control.ErrNotFound), errors.Is(err, control.ErrAmbiguous), errors.Is(err, control.ErrStale),
		errors.Is(err, control.ErrForeign), errors.Is(err, control.ErrVersion):
		return exitNotFound
	}
	return exitFailed
}

// brokenPipe reports whether whoever read the output does not any more, as head does.
func brokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
