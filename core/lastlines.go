package core

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/gracex-go/gracex/core/internal/program"
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
		lines = append(lines, program.Printable(l.crash), "...")
	}
	for i, line := range l.lines {
		text := program.Printable(bytes.TrimSuffix(line, []byte("\r")))
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
