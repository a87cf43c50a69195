package spawn

import (
	"bytes"
	"regexp"
	"slices"
)

const (
	dumpLines   = 24 // of a dump, at the most
	beforeDump  = 5  // lines that the program wrote before it
	mainLines   = 14 // of the goroutine of main
	dumpBegin   = "SIGABRT: abort"
	mainBegin   = "goroutine 1 "
	frameOfMain = "main."
)

// dump is what a Go program writes of its goroutines when it gets SIGABRT: the goroutine of main, without the
// runtime's own frames, and others that run code of package main.
type dump struct {
	begun  bool
	before [][]byte // the last lines before it
	main   [][]byte
	others [][]byte

	now     [][]byte // of the goroutine that is being written
	isMain  bool
	skipped bool // the last line is a frame of the runtime, and its place follows
}

// line takes the next line of the program's stderr. before are the lines before it.
func (d *dump) line(line []byte, before [][]byte) {
	switch {
	case bytes.HasPrefix(line, []byte(dumpBegin)):
		*d = dump{begun: true, before: slices.Clone(before[max(len(before)-beforeDump, 0):])}
	case !d.begun:
	case bytes.HasPrefix(line, []byte("goroutine ")):
		d.endGoroutine()
		d.isMain = bytes.HasPrefix(line, []byte(mainBegin))
		d.now = [][]byte{addresses.ReplaceAll(line, nil)}
	case len(line) == 0:
		d.endGoroutine()
	case d.now != nil:
		d.frame(line)
	}
}

// frame takes a line of a stack: a function, or its place, which is indented.
func (d *dump) frame(line []byte) {
	place := line[0] == '\t'
	if !place {
		d.skipped = bytes.HasPrefix(line, []byte("runtime."))
	}
	if !d.skipped && len(d.now) < mainLines {
		d.now = append(d.now, addresses.ReplaceAll(line, nil))
	}
}

// endGoroutine keeps a goroutine if it says where the program waits.
func (d *dump) endGoroutine() {
	ofMain := func(line []byte) bool { return bytes.HasPrefix(line, []byte(frameOfMain)) }
	switch {
	case d.isMain && d.main == nil:
		d.main = d.now
	case slices.ContainsFunc(d.now, ofMain) && len(d.others)+len(d.now) <= dumpLines-mainLines:
		d.others = append(d.others, d.now...)
	}
	d.now, d.isMain, d.skipped = nil, false, false
}

// useful returns the lines that say where the program waits, nil without a dump.
func (d *dump) useful() [][]byte {
	main := d.main
	if main == nil && d.isMain {
		main = d.now // the dump broke off in it
	}
	if main == nil {
		return nil
	}
	return slices.Concat(d.before, main, d.others)
}

// addresses are what the runtime says of its own structures.
var addresses = regexp.MustCompile(` (gp|m|mp|fp|sp|pc)=\w+`)
