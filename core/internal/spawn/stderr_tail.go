package spawn

import (
	"bytes"
	"fmt"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/core/internal/text"
)

const (
	keepLines  = 20                     // of what a new process that failed wrote to stderr
	keepBytes  = 400                    // of each of them
	crashLines = 12                     // of a crash, from its begin, if that is not among keepLines
	afterCrash = keepLines - crashLines // of the last lines then
)

// tail keeps the last lines of what is written to it. Of a Go program's crash it keeps the begin, and of a dump
// of the goroutines those that say where the program waits.
type tail struct {
	mu     sync.Mutex
	lines  [][]byte // at most keepLines, the newest last; unterminated if open
	open   bool
	missed int // bytes of the last line that were not kept

	written int      // lines so far, with the open one
	crash   [][]byte // the first lines of the last crash
	crashAt int      // the number of its first line
	dump    dump
}

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(b) {
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if !t.open {
			if len(t.lines) == keepLines {
				t.lines = append(t.lines[:0], t.lines[1:]...)
			}
			t.lines = append(t.lines, nil)
			t.missed = 0
			t.written++
		}
		last := &t.lines[len(t.lines)-1]
		n := min(len(text), keepBytes-len(*last))
		*last = append(*last, text[:n]...)
		t.missed += len(text) - n
		if ended && t.missed > 0 {
			*last = fmt.Appendf(*last, "... (%d bytes more)", t.missed)
		}
		if t.open = !ended; ended {
			t.endLineLocked(*last)
		}
	}
	return len(b), nil
}

// endLineLocked looks at a line that is whole.
func (t *tail) endLineLocked(line []byte) {
	switch {
	case len(t.crash) > 0 && t.written-t.crashAt < crashLines:
		t.crash = append(t.crash, line)
	case saysWhy(line):
		t.crash, t.crashAt = [][]byte{line}, t.written
	}
	t.dump.line(line, t.lines[:len(t.lines)-1])
}

// get returns the lines, printable, oldest first. The first lines of a crash come before the others.
func (t *tail) get() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if lines := t.dump.useful(); lines != nil {
		return printable(lines)
	}
	lines := printable(t.lines)
	if t.open && t.missed > 0 {
		lines[len(lines)-1] += fmt.Sprintf("... (%d bytes more)", t.missed)
	}
	if len(t.crash) == 0 || t.crashAt > t.written-len(t.lines) {
		return lines
	}
	return slices.Concat(printable(t.crash), []string{"..."}, lines[len(lines)-afterCrash:])
}

// printable returns lines without what a terminal would obey.
func printable(lines [][]byte) (texts []string) {
	for _, line := range lines {
		texts = append(texts, text.Printable(string(bytes.TrimSuffix(line, []byte("\r")))))
	}
	return texts
}

// saysWhy reports whether a line begins a Go program's last words.
func saysWhy(line []byte) bool {
	begins := []string{"panic: ", "fatal error: ", "runtime: ", "runtime/cgo: "}
	return slices.ContainsFunc(begins, func(begin string) bool { return bytes.HasPrefix(line, []byte(begin)) })
}
