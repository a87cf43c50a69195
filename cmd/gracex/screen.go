package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// screen is where a command shows what goes on. On a terminal the last line may move; to a
// pipe, a file or a dumb terminal each line is written once.
type screen struct {
	io.Writer
	live  bool // the line can be written over
	color bool
	size  func() (columns int) // of the terminal, now; nil for another file
	shown int                  // how much of the moving line is there
}

func newScreen(w io.Writer) *screen {
	s := &screen{Writer: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.live = os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
	s.color = s.live && os.Getenv("NO_COLOR") == ""
	s.size = func() int {
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil || columns <= 0 {
			return 80
		}
		return columns
	}
	return s
}

// columns is the width of the terminal, which can change at any time; 0 for another file.
func (s *screen) columns() int {
	if s.size == nil {
		return 0
	}
	return s.size()
}

// line writes a line that stays.
func (s *screen) line(format string, args ...any) error {
	s.wipe()
	_, err := fmt.Fprintf(s, format+"\n", args...)
	return err
}

// moving shows a line until the next one; nothing where lines can't be written over.
func (s *screen) moving(text string) {
	if !s.live {
		return
	}
	s.wipe()
	text = text[:min(len(text), max(s.columns()-1, 0))]
	fmt.Fprint(s, text)
	s.shown = len(text)
}

// wipe removes the moving line. On a terminal that has become narrower since it takes several rows (CUU and ED in
// ECMA-48).
func (s *screen) wipe() {
	if s.shown == 0 {
		return
	}
	if rows := (s.shown - 1) / max(s.columns(), 1); rows > 0 {
		fmt.Fprintf(s, "\x1b[%dA", rows)
	}
	fmt.Fprint(s, "\r\x1b[J")
	s.shown = 0
}

// clear begins a new page.
func (s *screen) clear() {
	if s.live {
		fmt.Fprint(s, "\x1b[H\x1b[2J")
	} else {
		fmt.Fprintln(s, time.Now().Format(time.TimeOnly))
	}
}

// paintTo colours the text up to end, or all of it.
func (s *screen) paintTo(code int, text, end string) string {
	begin, _, _ := strings.Cut(text, end)
	return s.paint(code, begin) + text[len(begin):]
}

// paint colours a word; code is that of SGR (ECMA-48).
func (s *screen) paint(code int, text string) string {
	if !s.color {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

const (
	red    = 31
	green  = 32
	yellow = 33
)

// bar is a progress bar of a part of a whole.
func bar(part, whole float64, width int) string {
	full := width
	if whole > 0 {
		full = int(min(max(part/whole, 0), 1) * float64(width))
	}
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}
