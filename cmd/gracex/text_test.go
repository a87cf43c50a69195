package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestBar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole float64
		want        string
	}{{0, 10, "[....]"}, {5, 10, "[##..]"}, {10, 10, "[####]"}, {11, 10, "[####]"}, {-1, 10, "[....]"}, {0, 0, "[####]"}} {
		if got := bar(c.part, c.whole, 4); got != c.want {
			t.Errorf("%v of %v: %s, want %s", c.part, c.whole, got, c.want)
		}
	}
}

// TestNoEscapes: what is no terminal gets no escape sequences and no moving lines.
func TestNoEscapes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	s := newScreen(&b)
	s.moving("moves")
	_ = s.line("%s", s.paint(red, "stays"))
	s.clear()
	if strings.ContainsAny(b.String(), "\x1b\r") || strings.Contains(b.String(), "moves") {
		t.Errorf("%q", &b)
	}
}

// TestMoving_LineIsRemovedWholeFromANarrowerTerminal, and is never longer than the terminal is wide.
func TestMoving_LineIsRemovedWholeFromANarrowerTerminal(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	columns := 80
	s := &screen{Writer: &b, live: true, size: func() int { return columns }}
	s.moving(strings.Repeat("x", 100))
	if b.String() != strings.Repeat("x", 79) {
		t.Errorf("%q", &b)
	}
	b.Reset()
	columns = 30 // 79 take three rows now
	s.moving("yy")
	if want := "\x1b[2A\r\x1b[Jyy"; b.String() != want {
		t.Errorf("%q, want %q", &b, want)
	}
}

// TestHelp: every command has an example, and says what it is for.
func TestHelp(t *testing.T) {
	t.Parallel()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Short == "" || c.Example == "" && c.Name() != "help" && !strings.HasPrefix(c.CommandPath(), "gracex completion") {
			t.Errorf("%s: %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(stdio{}))
}
