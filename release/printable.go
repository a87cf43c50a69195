package release

import (
	"fmt"
	"strings"

	"github.com/gracex-go/gracex/release/internal/fetch"
)

// maxText bounds a text that a source or another program has said, in bytes.
const maxText = 2 << 10

// printable returns s in one line and bounded. Characters that would not show, or would do something to a terminal,
// are escaped as in Go: a source's words are printed, and nothing that a source says is trusted.
func printable(s string) string { return fetch.PrintableUpTo(s, maxText) }

// printableError is printable for an error. What it wraps stays visible to errors.Is and errors.As.
func printableError(err error) error {
	if err == nil {
		return nil
	}
	if s := err.Error(); printable(s) != s {
		return &printedError{printable(s), err}
	}
	return err
}

type printedError struct {
	text string
	err  error
}

func (e *printedError) Error() string { return e.text }
func (e *printedError) Unwrap() error { return e.err }

// refuse is an ErrNotAccepted with a reason.
func refuse(format string, a ...any) error {
	return because(ErrNotAccepted, fmt.Errorf(format, a...))
}

// notNow is an ErrNotTried with a reason.
func notNow(format string, a ...any) error {
	return because(ErrNotTried, fmt.Errorf(format, a...))
}

// because has a reason wrap is, whose words come once also if the reason has them.
func because(is, reason error) error {
	if s := reason.Error(); strings.Contains(s, is.Error()+": ") {
		reason = &printedError{strings.ReplaceAll(s, is.Error()+": ", ""), reason}
	}
	return fmt.Errorf("%w: %w", is, reason)
}
