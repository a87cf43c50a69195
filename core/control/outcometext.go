package control

import (
	"fmt"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/internal/text"
)

// Printable returns s in one line, in which characters that would do something to a terminal are escaped. The fields of
// this package's types are what the app has sent. What its functions and methods return as text for people, and the
// texts of errors, are printable already.
func Printable(s string) string { return text.Printable(s) }

// String returns the outcome in one line, such as "rolled back: it ended on probation". What would do something to a
// terminal is escaped.
func (o Outcome) String() string { return text.Printable(o.sentence()) }

func (o Outcome) sentence() string {
	what := strings.ReplaceAll(o.Kind, "_", " ")
	if o.Kind == KindChecked {
		return fmt.Sprintf("%s %s: it was ready in %v, and has ended; %s serves on", what, Process(o.NewPID, o.Version),
			o.Took.Round(time.Millisecond), Process(o.OldPID, o.OldVersion))
	}
	if o.OK {
		return fmt.Sprintf("%s %s -> %s, generation %d, in %v", what, Process(o.OldPID, o.OldVersion),
			Process(o.NewPID, o.Version), o.Generation, o.Took.Round(time.Millisecond))
	}
	if o.Reason == "" || strings.HasPrefix(o.Reason, what) {
		return o.Reason
	}
	return what + ": " + o.Reason
}

// Details returns what is known of a failed new process beside the reason, in indented lines: how it ended, and
// what it wrote last. They are empty if nothing is known.
func (o Outcome) Details() string {
	var b strings.Builder
	if o.Exit != "" {
		fmt.Fprintf(&b, "  it ended with %s\n", text.Printable(o.Exit))
	}
	if len(o.Stderr) > 0 {
		b.WriteString("  the last that it wrote to stderr:\n")
	}
	for _, line := range o.Stderr {
		b.WriteString("  | " + text.Printable(line) + "\n")
	}
	return b.String()
}

// After returns who serves after an outcome that is not good, and what the next start gets.
func (o Outcome) After() string {
	s := Process(o.OldPID, o.OldVersion) + " serves on"
	if o.NextStart != "" {
		s += "; " + text.Printable(o.NextStart)
	}
	return s
}

// Process names a process and its version, which may be empty.
func Process(pid int, version string) string {
	if version == "" {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("process %d (%s)", pid, text.Printable(version))
}
