package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/program"
	"github.com/gracex-go/gracex/core/internal/spawn"
	"github.com/gracex-go/gracex/core/internal/text"
)

// StartError says why the new process did not become current. With ErrRolledBack it says why the
// new process did not stay current. The old process serves.
type StartError struct {
	Path   string        // of the program, symlinks unresolved
	File   string        // mode, owner and architecture of the file, and whether it lacks gracex, unless it has said hello
	PID    int           // of the new process; 0 if none was started
	Exit   string        // how it ended, such as "exit status 1"; empty if it had not, or was ended by this process
	Ran    time.Duration // from its start to its end
	Reason string        // the reason that it gave, or the fault that was found
	Err    error         // the cause, for errors.Is; may be nil
	Remedy string        // what is in the way of the new process and what to do, if that is known; or empty

	// Stderr has the last lines that the new process wrote to its stderr, at most 20, oldest
	// first, each cut after 400 bytes. Non-printable characters are escaped. If the panic message
	// of a Go program is older than these lines, its first 12 lines come first, followed by "...".
	// Of a program that was not ready in time it has at most 29 lines: the last 5 that it wrote, and
	// the stacks of the goroutine of main and of others that run code of package main.
	//
	// The whole output has also gone to this process's stderr. Stderr is nil for a program that
	// does not use this package, and if stderr is a terminal, because such a process writes to this
	// process's stderr directly. It is nil for a process that rejected itself or was rolled back by
	// an operator, because the reason is known.
	Stderr []string
}

// notStarted makes the error for a file that could not be executed. dir is the directory for that.
func notStarted(path, dir string, err error) error {
	file, remedy := program.Diagnose(path, dir, err)
	if spawn.IsRefusal(err) {
		err = because(ErrUntrusted, err)
	}
	return &StartError{Path: path, File: file, Reason: remedy, Err: err}
}

// Error returns the path and everything else that is known about the failure. The lines of Stderr
// follow, each on a line of its own.
func (e *StartError) Error() string {
	var b strings.Builder
	b.WriteString("gracex: the new process " + e.Path)
	if e.PID != 0 {
		fmt.Fprintf(&b, " (pid %d)", e.PID)
	} else {
		b.WriteString(" could not be started")
	}
	if e.Reason != "" {
		b.WriteString(": " + text.Reason(e.Reason))
	}
	if e.Err != nil && !strings.Contains(e.Reason, e.Err.Error()) {
		b.WriteString(": " + text.Reason(strings.TrimPrefix(e.Err.Error(), prefix)))
	}
	if e.Exit != "" {
		fmt.Fprintf(&b, " (%s after %v)", e.Exit, e.Ran.Round(time.Millisecond))
	}
	if e.File != "" {
		b.WriteString(" [" + e.File + "]")
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	b.WriteString(e.wrote())
	return b.String()
}

// wrote is the end of the error's text.
func (e *StartError) wrote() string {
	const each = "\n\t| "
	if len(e.Stderr) == 0 {
		return ""
	}
	return "; the last that it wrote to stderr:" + each + strings.Join(e.Stderr, each)
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// logFailed is a failed upgrade for the log, with what the next start gets.
func (u *Upgrader) logFailed(err error) []any {
	args := logFailed(err)
	if errors.As(err, new(*StartError)) {
		if next := u.nextStart(); next != "" {
			args = append(args, "next_start", next)
		}
	}
	return args
}

// logFailed is a failed upgrade for the log: the lines are an attribute of their own.
func logFailed(err error) []any {
	var start *StartError
	if !errors.As(err, &start) || len(start.Stderr) == 0 {
		return []any{"error", err}
	}
	return []any{"error", &briefError{err, strings.Replace(err.Error(), start.wrote(), "", 1)}, "stderr", wrote(start.Stderr)}
}

// briefError is an error in other words.
type briefError struct {
	error
	text string
}

func (e *briefError) Error() string { return e.text }
func (e *briefError) Unwrap() error { return e.error }

// wrote are lines for the log: a list in JSON, and one text elsewhere, where a list
// would not show where a line ends.
type wrote []string

// MarshalText is what slog.TextHandler takes.
func (w wrote) MarshalText() ([]byte, error) { return []byte(strings.Join(w, "\n")), nil }

// MarshalJSON is what slog.JSONHandler takes.
func (w wrote) MarshalJSON() ([]byte, error) { return json.Marshal([]string(w)) }

// explain makes the error of an attempt whose process n has ended.
func (u *Upgrader) explain(n *peer.Next, err error) error {
	if errors.Is(err, errTermWasAStop) || errors.Is(err, ErrStopped) {
		return err
	}
	if errors.As(err, new(*operatorError)) {
		return err
	}
	start := &StartError{Path: n.Path, PID: n.PID(), Err: err}
	if n.Says() == 0 {
		start.File, _ = program.Describe(n.Path, n.Dir)
		if start.File != "" && spawn.IsWithoutGracex(n.Path) {
			start.File += ", without gracex"
		}
	}
	if !errors.Is(err, errRejectedItself) {
		start.Stderr = n.WroteLast()
	}
	start.Remedy = u.whoListens(n.PID(), n.Says() != 0, append([]string{err.Error()}, start.Stderr...))
	ended := errors.Is(err, errEnded) || errors.Is(err, errEndedOnProbation)
	if ended && n.IsHeard() && len(start.Stderr) == 0 {
		start.Err = fmt.Errorf("%w, and wrote nothing to stderr", err)
	}
	if isClosed(n.Exited) && !n.WasEnded() {
		start.Exit, start.Ran = n.Exit.Text, n.Ran
	}
	return start
}

// operatorError is why an operator has rolled an upgrade back.
type operatorError struct{ reason string }

func (e *operatorError) Error() string {
	if e.reason == "" {
		return "rolled back by the operator"
	}
	return "rolled back by the operator: " + e.reason
}

// rolledBack is the error of an upgrade that was rolled back. why was explained.
func rolledBack(why error) error {
	if errors.As(why, new(*operatorError)) {
		return &refusal{ErrRolledBack, why, prefix + "upgrade " + why.Error()}
	}
	return because(ErrRolledBack, why)
}

// news is a failed upgrade in one line, for a status: what has become of it, and why.
func news(what string, err error) string {
	text := strings.TrimPrefix(err.Error(), prefix+"upgrade ")
	text = strings.TrimPrefix(text, prefix)
	if start := new(StartError); errors.As(err, &start) {
		text = start.headline()
	}
	if strings.HasPrefix(text, what) {
		return text
	}
	return what + ": " + text
}

// headline is the error without what only a log has room for: the reason, the exit status, and the line of
// Stderr that says most.
func (e *StartError) headline() string {
	text := e.brief()
	if e.Exit != "" {
		text += " (" + e.Exit + ")"
	}
	if line := tellingLine(e.Stderr); line != "" {
		text += ": " + line
	}
	return text
}

// tellingLine returns the line with which a Go program's crash begins, or else the last one.
func tellingLine(lines []string) string {
	for _, line := range lines {
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
	}
	for _, line := range slices.Backward(lines) {
		if text := strings.TrimSpace(line); text != "" {
			return text
		}
	}
	return ""
}
