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
	width int
	shown int // how much of the moving line is there
}

func newScreen(w io.Writer) *screen {
	s := &screen{Writer: w, width: 80}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.live = os.Getenv("TERM") != "dumb" && os.Getenv("TERM") != ""
	s.color = s.live && os.Getenv("NO_COLOR") == ""
	if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
		s.width = width
	}
	return s
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
	if len(text) >= s.width {
		text = text[:s.width-1]
	}
	fmt.Fprint(s, "\r"+text+strings.Repeat(" ", max(s.shown-len(text), 0)))
	s.shown = len(text)
}

func (s *screen) wipe() {
	if s.shown > 0 {
		fmt.Fprint(s, "\r"+strings.Repeat(" ", s.shown)+"\r")
		s.shown = 0
	}
}

// clear begins a new page.
func (s *screen) clear() {
	if s.live {
		fmt.Fprint(s, "\x1b[H\x1b[2J")
	} else {
		fmt.Fprintln(s, time.Now().Format(time.TimeOnly))
	}
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
