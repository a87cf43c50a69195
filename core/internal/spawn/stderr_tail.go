package spawn

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/core/internal/program"
)

const (
	keepLines = 20  // of what a new process that failed wrote to stderr
	keepBytes = 400 // of each of them
)

// tail keeps the last lines of what is written to it.
type tail struct {
	mu     sync.Mutex
	lines  [][]byte // at most keepLines, the newest last; unterminated if open
	open   bool
	missed int    // bytes of the last line that were not kept
	crash  []byte // what a Go program says before the stacks, if it is not among lines any more
}

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(b) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if !t.open {
			if len(t.lines) == keepLines {
				if saysWhy(t.lines[0]) {
					t.crash = t.lines[0]
				}
				t.lines = append(t.lines[:0], t.lines[1:]...)
			}
			t.lines = append(t.lines, nil)
			t.missed = 0
		}
		last := &t.lines[len(t.lines)-1]
		n := min(len(text), keepBytes-len(*last))
		*last = append(*last, text[:n]...)
		t.missed += len(text) - n
		if ended && t.missed > 0 {
			*last = fmt.Appendf(*last, "... (%d bytes more)", t.missed)
		}
		t.open = !ended
	}
	return len(b), nil
}

// get returns the lines, printable, oldest first, and before them the one that a crash began with.
func (t *tail) get() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	if t.crash != nil {
		lines = append(lines, program.Printable(t.crash), "...")
	}
	for i, line := range t.lines {
		text := program.Printable(bytes.TrimSuffix(line, []byte("\r")))
		if t.open && i == len(t.lines)-1 && t.missed > 0 {
			text += fmt.Sprintf("... (%d bytes more)", t.missed)
		}
		lines = append(lines, text)
	}
	return lines
}

// saysWhy reports whether a line begins a Go program's last words.
func saysWhy(line []byte) bool {
	begins := []string{"panic: ", "fatal error: ", "runtime: ", "runtime/cgo: "}
	return slices.ContainsFunc(begins, func(begin string) bool { return bytes.HasPrefix(line, []byte(begin)) })
}
