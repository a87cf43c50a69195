package core

import (
	"cmp"
	"net"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// passable is what the next generation can have.
type passable interface {
	describe() wire.Listener // by which that knows it
	duplicate() int          // its descriptor for that one; -1: it can't be passed on
	rank() int               // those of a lower one come first
}

// The ranks. A program that speaks only the plain protocol takes the first descriptor for its
// listener.
const (
	rankListener = iota
	rankOther
	rankControl // the operator's control socket
)

// passing holds what the next generation gets, in the order in which it was opened, which is
// the order of the descriptors there.
type passing struct {
	mu   sync.Mutex
	list []passable
	over bool // no more: the generation has handed over or stopped
}

func (t *passing) add(p passable) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	t.list = append(t.list, p)
	return true
}

// remove reports whether it was there.
func (t *passing) remove(p passable) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.list, p)
	if i >= 0 {
		t.list = append(t.list[:i:i], t.list[i+1:]...)
	}
	return i >= 0
}

// passOn returns what the next generation can have and a fresh
// duplicate of each, which is the caller's: one may be closed meanwhile.
func (t *passing) passOn() (passed []passable, dups []int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.Clone(t.list)
	slices.SortStableFunc(list, func(a, b passable) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, p := range list {
		if p.duplicate() < 0 {
			continue
		}
		d, err := fd.DupOf(p.duplicate())
		if err != nil {
			for _, d := range dups {
				_ = fd.Close(d)
			}
			return nil, nil, err
		}
		passed = append(passed, p)
		dups = append(dups, d)
	}
	return passed, dups, nil
}

// descriptions are those of all.
func descriptions(passed []passable) (out []wire.Listener) {
	for _, p := range passed {
		out = append(out, p.describe())
	}
	return out
}

// only returns those of one type.
func only[T passable](list []passable) (out []T) {
	for _, p := range list {
		if t, ok := p.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// count is how many the next generation can have.
func (t *passing) count() (n int) {
	for _, p := range t.all() {
		if p.duplicate() >= 0 {
			n++
		}
	}
	return n
}

func (t *passing) all() []passable {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// find returns the listener bound to addr, or nil.
func (t *passing) find(addr net.Addr) *listener {
	for _, l := range only[*listener](t.all()) {
		if l.origin.Network != networkControl && l.Addr().Network() == addr.Network() && l.Addr().String() == addr.String() {
			return l
		}
	}
	return nil
}

// restore makes the sockets non-blocking again, after a program that they were passed to may have
// changed that.
func (t *passing) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.list {
		if p.describe().Kind != wire.KindFile && p.duplicate() >= 0 {
			_ = fd.SetNonblock(p.duplicate())
		}
	}
}

// refuse admits no more, and admit undoes that.
func (t *passing) refuse() { t.setOver(true) }
func (t *passing) admit()  { t.setOver(false) }

func (t *passing) setOver(over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = over
}

// finish takes everything out and admits no more.
func (t *passing) finish() []passable {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list, t.over = nil, true
	return list
}
