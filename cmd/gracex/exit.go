package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/gracex-go/gracex/core/control"
	"github.com/gracex-go/gracex/release"
)

// The exit statuses beside those of package control.
const (
	exitNotAccepted = 7 // a release is not accepted, or would not be
	exitNotTried    = 8 // it could not be tried, or a file can't be read or written
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
  7    the release is not accepted: its signature, its content or its age is wrong, or it was
       taken back before; nothing was started
  8    the release could not be tried: the source is away, or a disk is full; nothing was changed
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
	return &exitError{code: control.ExitUsage, err: fmt.Errorf(format, args...)}
}

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	if code, ok := storeExit(err); ok {
		return code
	}
	return control.ExitStatus(err)
}

// plainText is an error's text without the name of the package that it comes from.
func plainText(text string) string {
	return strings.ReplaceAll(strings.TrimPrefix(text, "release: "), ": release: ", ": ")
}

// brokenPipe reports whether whoever read the output does not any more, as head does.
func brokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// storeExit is the exit status for an error of package release; ok is false for another one.
func storeExit(err error) (code int, ok bool) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return 0, false
	case errors.Is(err, release.ErrBusy):
		return control.ExitRefused, true
	case errors.Is(err, release.ErrNoApp):
		return control.ExitNotFound, true
	case errors.Is(err, release.ErrNotAccepted):
		return exitNotAccepted, true
	case errors.Is(err, release.ErrUnchanged):
		return control.ExitOK, true
	case errors.Is(err, release.ErrNotTried):
		return exitNotTried, true
	}
	return 0, false
}
