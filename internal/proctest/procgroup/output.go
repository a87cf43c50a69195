package procgroup

import (
	"bytes"
	"io"
	"sync"
)

// Output is what processes have written so far. It can be read while they write. Its zero value is empty.
type Output struct {
	mu     sync.Mutex
	text   []byte
	closed bool // nothing more comes
}

// String is everything that was written.
func (o *Output) String() string { return string(o.sofar()) }

// Count is how often the text was written.
func (o *Output) Count(text string) int { return bytes.Count(o.sofar(), []byte(text)) }

// sofar is what was written. It does not change, and whoever looks at it holds up nobody that writes.
func (o *Output) sofar() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text
}

// Closed reports whether no process can write to it any more. Start must have been given the Output.
func (o *Output) Closed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// Lines returns the lines that begin behind the first n bytes, and where the next one begins. The last line is
// left out while it has no end and can get one.
func (o *Output) Lines(n int) (lines []string, next int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n < len(o.text) {
		line, _, whole := bytes.Cut(o.text[n:], []byte("\n"))
		if !whole && !o.closed {
			break
		}
		lines = append(lines, string(line))
		n = min(n+len(line)+1, len(o.text))
	}
	return lines, n
}

// Write adds to it.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	return len(b), nil
}

// read takes everything from r, up to its end.
func (o *Output) read(r io.ReadCloser) {
	defer r.Close()
	_, _ = io.Copy(o, r)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}
