package core

import (
	"cmp"
	"net"
	"slices"
	"sync"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// listenerTable holds the open listeners in the order they were made, which is
// the order of their descriptors in the next generation.
type listenerTable struct {
	mu   sync.Mutex
	list []*listener
	over bool // no more: the generation has handed over or stopped
}

func (t *listenerTable) add(l *listener) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	t.list = append(t.list, l)
	return true
}

func (t *listenerTable) remove(l *listener) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, x := range t.list {
		if x == l {
			t.list = append(t.list[:i:i], t.list[i+1:]...)
			return
		}
	}
}

// passOn returns the listeners that the next generation can have and a fresh
// duplicate of each, which is the caller's: a listener may be closed meanwhile.
func (t *listenerTable) passOn() (passed []*listener, dups []int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range byRank(t.list) {
		if l.dup < 0 {
			continue
		}
		d, err := fd.DupOf(l.dup)
		if err != nil {
			for _, d := range dups {
				_ = fd.Close(d)
			}
			return nil, nil, err
		}
		passed = append(passed, l)
		dups = append(dups, d)
	}
	return passed, dups, nil
}

// byRank puts the operator's control socket last: a program that speaks only the plain
// protocol takes the first listener for its own.
func byRank(list []*listener) []*listener {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *listener) int {
		return cmp.Compare(a.rank(), b.rank())
	})
	return list
}

func (l *listener) rank() int {
	if l.network == networkControl {
		return 1
	}
	return 0
}

// names are the words that the next generation knows the listeners by.
func names(passed []*listener) (names []wire.Listener) {
	for _, l := range passed {
		names = append(names, wire.Listener{Network: l.network, Address: l.address, Foreign: l.foreign})
	}
	return names
}

// count is how many of them the next generation can have.
func (t *listenerTable) count() (n int) {
	for _, l := range t.all() {
		if l.dup >= 0 {
			n++
		}
	}
	return n
}

// all returns the open listeners.
func (t *listenerTable) all() []*listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

// find returns the listener bound to addr, or nil.
func (t *listenerTable) find(addr net.Addr) *listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.list {
		if l.network != networkControl && l.Addr().Network() == addr.Network() && l.Addr().String() == addr.String() {
			return l
		}
	}
	return nil
}

// addresses lists what the program listens on.
func (t *listenerTable) addresses() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for _, l := range t.list {
		if l.network != networkControl {
			out = append(out, l.Addr().String())
		}
	}
	return out
}

// restore makes the sockets non-blocking again, after a program that the
// listeners were passed to may have changed that.
func (t *listenerTable) restore() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.list {
		if l.dup >= 0 {
			_ = fd.SetNonblock(l.dup)
		}
	}
}

// finish takes all listeners out and admits no more.
func (t *listenerTable) finish() []*listener {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list, t.over = nil, true
	return list
}
