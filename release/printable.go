package release

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a text that a source or another program has said, in bytes.
const maxText = 2 << 10

// printable returns s in one line and bounded. Characters that would not show, or would do something to a terminal,
// are escaped as in Go: a source's words are printed, and nothing that a source says is trusted.
func printable(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsPrint(r) || r == '\t':
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		s = s[n:]
	}
	return b.String()
}

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
