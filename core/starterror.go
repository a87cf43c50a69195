package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/peer"
	"github.com/gracex-go/gracex/core/internal/program"
)

// StartError says why the new process did not become current. With ErrRolledBack it says why the
// new process did not stay current. The old process serves.
type StartError struct {
	Path   string        // of the program, symlinks unresolved
	File   string        // mode, owner and architecture of the file, as far as they could be read
	PID    int           // of the new process; 0 if none was started
	Exit   string        // how it ended, such as "exit status 1"; empty if it had not ended
	Ran    time.Duration // from its start to its end
	Reason string        // the reason that it gave, or the fault that was found
	Err    error         // the cause, for errors.Is; may be nil
	Remedy string        // what is in the way of the new process and what to do, if that is known; or empty

	// Stderr has the last lines that the new process wrote to its stderr, at most 20, oldest
	// first, each cut after 400 bytes. Non-printable characters are escaped. If the panic message
	// of a Go program is older than these lines, it comes first, followed by "...".
	//
	// The whole output has also gone to this process's stderr. Stderr is nil for a program that
	// does not use this package, if stderr is a terminal, and after a rollback, because such a
	// process writes to this process's stderr directly.
	Stderr []string
}

// notStarted makes the error for a file that could not be executed. dir is the directory for that.
func notStarted(path, dir string, err error) error {
	file, remedy := program.Diagnose(path, dir, err)
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
		b.WriteString(": " + e.Reason)
	}
	if e.Err != nil && !strings.Contains(e.Reason, e.Err.Error()) {
		b.WriteString(": " + strings.TrimPrefix(e.Err.Error(), prefix))
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

// logFailed is a failed upgrade for the log: the lines are an attribute of their own.
func logFailed(err error) []any {
	var start *StartError
	if !errors.As(err, &start) || len(start.Stderr) == 0 {
		return []any{"error", err}
	}
	return []any{"error", strings.Replace(err.Error(), start.wrote(), "", 1), "stderr", wrote(start.Stderr)}
}

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
	file, _ := program.Describe(n.Path, n.Dir)
	start := &StartError{Path: n.Path, File: file, PID: n.PID(), Err: err}
	if !n.Served {
		start.Stderr = n.Stderr.Lines()
	}
	start.Remedy = u.whoListens(n.PID(), append([]string{err.Error()}, start.Stderr...))
	if isClosed(n.Exited) {
		start.Exit, start.Ran = n.Exit.Text, n.Ran
	}
	return start
}
