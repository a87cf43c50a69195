package spawn

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// dumped is what Go 1.26 writes at SIGABRT, cut.
const dumped = `SIGABRT: abort
PC=0x4a2d81 m=0 sigcode=0

goroutine 0 gp=0x6ebbe0 m=0 mp=0x6ec3a0 [idle]:
runtime.futex(0x6ec4e0, 0x80, 0x0, 0x0, 0x0, 0x0)
	/go/src/runtime/sys_linux_amd64.s:557 +0x21 fp=0x7ffd sp=0x7ffc pc=0x4a2d81

goroutine 1 gp=0xc000002380 m=nil [select (no cases), 2 minutes]:
runtime.gopark(0x0?, 0x0?, 0x0?, 0x0?, 0x0?)
	/go/src/runtime/proc.go:460 +0xce fp=0xc00008eef8 sp=0xc00008eed8 pc=0x47a0ae
main.open(0x1)
	/srv/app/main.go:9 +0x1c fp=0xc00008ef40 sp=0xc00008ef28 pc=0x4d1a9c
main.main()
	/srv/app/main.go:20 +0xf fp=0xc00008ef50 sp=0xc00008ef40 pc=0x4d1acf
runtime.main()
	/go/src/runtime/proc.go:285 +0x29d fp=0xc00008efe0 sp=0xc00008ef50 pc=0x44425d

goroutine 2 gp=0xc000002e00 m=nil [force gc (idle)]:
runtime.forcegchelper()
	/go/src/runtime/proc.go:373 +0xb3 fp=0xc00007afe0 sp=0xc00007afa8 pc=0x4446b3
created by runtime.init.7 in goroutine 1
	/go/src/runtime/proc.go:361 +0x1a

goroutine 7 gp=0xc000002e01 m=nil [IO wait]:
main.dial()
	/srv/app/db.go:3 +0x2 fp=0xc00007afe0 sp=0xc00007afa8 pc=0x4446b3

rax    0xca
rbx    0x6ec4e0
`

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
		{"panic: old\n\npanic: why\n" + strings.Join(many, "\n"), slices.Concat([]string{"panic: old", "", "panic: why"}, many[:9], []string{"..."}, many[42:])},
		{"panic: old\n" + strings.Join(many, "\n") + "\npanic: new\n", append(slices.Clone(many[31:]), "panic: new")},
		{"panic: old\n" + strings.Join(many, "\n") + "\npanic: new\n" + strings.Join(many[:20], "\n"), slices.Concat([]string{"panic: new"}, many[:11], []string{"..."}, many[12:20])},
		{"fatal error: why\n" + strings.Join(many[:19], "\n"), append([]string{"fatal error: why"}, many[:19]...)},
		{strings.Join(many, "\n") + "\n" + dumped, slices.Concat(many[45:], []string{
			"goroutine 1 [select (no cases), 2 minutes]:", "main.open(0x1)", "\t/srv/app/main.go:9 +0x1c", "main.main()", "\t/srv/app/main.go:20 +0xf",
			"goroutine 7 [IO wait]:", "main.dial()", "\t/srv/app/db.go:3 +0x2",
		})},
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
		if len(lines) > beforeDump+dumpLines {
			t.Fatalf("%d lines", len(lines))
		}
		for _, l := range lines {
			if strings.ContainsAny(l, "\n\x00\x1b") {
				t.Fatalf("%q", l)
			}
		}
	})
}
