package core

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	keepLines = 20  // of what a new process that failed wrote to stderr
	keepBytes = 400 // of each of them
)

// lastLines keeps the last lines of what is written to it.
type lastLines struct {
	mu     sync.Mutex
	lines  [][]byte // at most keepLines, the newest last; unterminated if open
	open   bool
	missed int    // bytes of the last line that were not kept
	crash  []byte // what a Go program says before the stacks, if it is not among lines any more
}

// Write never fails.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(b) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if !l.open {
			if len(l.lines) == keepLines {
				if saysWhy(l.lines[0]) {
					l.crash = l.lines[0]
				}
				l.lines = append(l.lines[:0], l.lines[1:]...)
			}
			l.lines = append(l.lines, nil)
			l.missed = 0
		}
		last := &l.lines[len(l.lines)-1]
		n := min(len(text), keepBytes-len(*last))
		*last = append(*last, text[:n]...)
		l.missed += len(text) - n
		if ended && l.missed > 0 {
			*last = fmt.Appendf(*last, "... (%d bytes more)", l.missed)
		}
		l.open = !ended
	}
	return len(b), nil
}

// get returns the lines, printable, oldest first, and before them the one that a crash
// began with.
func (l *lastLines) get() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	if l.crash != nil {
		lines = append(lines, printable(l.crash), "...")
	}
	for i, line := range l.lines {
		text := printable(bytes.TrimSuffix(line, []byte("\r")))
		if l.open && i == len(l.lines)-1 && l.missed > 0 {
			text += fmt.Sprintf("... (%d bytes more)", l.missed)
		}
		lines = append(lines, text)
	}
	return lines
}

// saysWhy reports whether a line begins a Go program's last words.
func saysWhy(line []byte) bool {
	for _, begin := range []string{"panic: ", "fatal error: ", "runtime: ", "runtime/cgo: "} {
		if bytes.HasPrefix(line, []byte(begin)) {
			return true
		}
	}
	return false
}

// printable escapes what would not show, or would do something to a terminal.
func printable(b []byte) string {
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&s, `\x%02x`, b[0])
		case r == '\t' || unicode.IsPrint(r):
			s.WriteRune(r)
		default:
			s.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
		b = b[n:]
	}
	return s.String()
}
