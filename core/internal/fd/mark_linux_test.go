package fd

import (
	"net"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestMark: each descriptor of a socket shows the mark, and each Mark is another one.
func TestMark(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	rc := must.Get(ln.(*net.TCPListener).SyscallConn())(t)
	must.Do(t, rc.Control(func(s uintptr) {
		dup := must.Get(DupOf(int(s)))(t)
		defer func() { _ = Close(dup) }()
		for range 2 * maxMarks {
			before := MarkOf(int(s))
			Mark(dup)
			if after := MarkOf(int(s)); before < 0 || after < 0 || after == before || after != MarkOf(dup) {
				t.Fatalf("%d became %d", before, after)
			}
		}
	}))
	if n := MarkOf(-1); n != -1 {
		t.Errorf("no descriptor has %d", n)
	}
}
