package spawn

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestTail: the same whatever the pieces are that they come in.
func TestTail(t *testing.T) {
	t.Parallel()
	var many, last []string
	for i := range 50 {
		many = append(many, fmt.Sprint("line ", i))
	}
	last = many[30:]
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"", nil},
		{"\n", []string{""}},
		{"a", []string{"a"}},
		{"a\nb", []string{"a", "b"}},
		{"a\r\n\nb\n", []string{"a", "", "b"}},
		{strings.Join(many, "\n"), last},
		{strings.Join(many, "\n") + "\n", last},
		{strings.Repeat("x", 400) + "\n", []string{strings.Repeat("x", 400)}},
		{strings.Repeat("x", 401) + "\nb", []string{strings.Repeat("x", 400) + "... (1 bytes more)", "b"}},
		{"b\n" + strings.Repeat("x", 5000), []string{"b", strings.Repeat("x", 400) + "... (4600 bytes more)"}},
		{"panic: old\n\npanic: why\n" + strings.Join(many, "\n"), append([]string{"panic: why", "..."}, last...)},
		{"fatal error: why\n" + strings.Join(many[:19], "\n"), append([]string{"fatal error: why"}, many[:19]...)},
		{"\x00\t\x1b[0m\"\\ ü\xff\u202e\n", []string{`\x00` + "\t" + `\x1b[0m"\ ü\xff\u202e`}},
	} {
		for _, piece := range []int{1, 3, 400, 1 << 20} {
			var l tail
			for c := range slices.Chunk([]byte(tt.in), piece) {
				_, _ = l.Write(c)
				_ = l.get() // changes nothing
			}
			if got := l.get(); !slices.Equal(got, tt.want) {
				t.Errorf("of %.40q in pieces of %d: %q, want %q", tt.in, piece, got, tt.want)
			}
		}
	}
}

// FuzzTail: what a program writes is kept by the line, however it comes in pieces.
func FuzzTail(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), 2)
	f.Add(bytes.Repeat([]byte("x"), 1000), 399)
	f.Add(bytes.Repeat([]byte("line\n"), 30), 7)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		var whole, pieces tail
		_, _ = whole.Write(b)
		at = min(max(at, 0), len(b))
		_, _ = pieces.Write(b[:at])
		_, _ = pieces.Write(b[at:])
		lines := whole.get()
		if !slices.Equal(lines, pieces.get()) {
			t.Fatalf("%q at once and %q in pieces", lines, pieces.get())
		}
		if len(lines) > keepLines+2 {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\x00\x1b") {
				t.Fatalf("%q", l)
			}
		}
	})
}
