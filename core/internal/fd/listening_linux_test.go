package fd

import (
	"maps"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestListeners_Look finds what listens, and what does not any more, also beside many descriptors.
func TestListeners_Look(t *testing.T) {
	for range fewOpen {
		f := must.Get(os.Open(os.DevNull))(t)
		t.Cleanup(func() { _ = f.Close() })
	}
	var l Listeners
	listens := func(ln net.Listener) bool {
		return slices.ContainsFunc(must.Get(l.Look())(t), func(s Socket) bool { return s.Address == ln.Addr().String() })
	}
	first := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer func() { _ = first.Close() }()
	for range 3 {
		if !listens(first) {
			t.Error("a socket that listens is not found")
		}
		second := must.Get(net.Listen("unix", t.TempDir()+"/s"))(t)
		if !listens(second) {
			t.Error("a socket that listens since is not found")
		}
		_ = second.Close()
		if listens(second) {
			t.Error("a socket that is closed is found")
		}
	}
}

// TestListeners_Same: the descriptors are gone through again if a socket has begun to listen, or an own one has gone.
func TestListeners_Same(t *testing.T) {
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	var l Listeners
	_ = must.Get(l.Look())(t)
	if l.known == nil {
		t.Skip("this kernel does not tell what listens")
	}
	anywhere := maps.Clone(l.known)
	if !l.same(anywhere) {
		t.Error("nothing has changed")
	}
	anywhere[1<<40] = true // no socket has such a number
	if l.same(anywhere) {
		t.Error("one has begun to listen")
	}
	delete(anywhere, 1<<40)
	_ = ln.Close()
	if l.same(anywhere) {
		t.Error("an own one has gone")
	}
}
