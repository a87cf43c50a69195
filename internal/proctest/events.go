package proctest

import (
	"slices"
	"sync"

	"github.com/gracex-go/gracex/internal/proctest/procgroup"
)

// Events are the lines of an output, decoded.
type Events[E any] struct {
	out    *procgroup.Output
	decode func(line string) (E, bool)

	mu   sync.Mutex
	read int // how much of the output
	all  []E
}

// NewEvents decodes lines of out. A line for which decode reports false is left out.
func NewEvents[E any](out *procgroup.Output, decode func(line string) (E, bool)) *Events[E] {
	return &Events[E]{out: out, decode: decode}
}

// All returns the events so far.
func (e *Events[E]) All() []E {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines, next := e.out.Lines(e.read)
	for _, line := range lines {
		if ev, ok := e.decode(line); ok {
			e.all = append(e.all, ev)
		}
	}
	e.read = next
	return slices.Clip(e.all)
}

// Where returns the events so far that match.
func (e *Events[E]) Where(match func(E) bool) (found []E) {
	for _, ev := range e.All() {
		if match(ev) {
			found = append(found, ev)
		}
	}
	return found
}
