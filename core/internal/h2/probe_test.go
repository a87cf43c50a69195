package h2

import (
	"runtime"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestProbe pins what leaving in two steps relies on, and which doors there are. With a Go release that fails
// it HTTP/2 is served in net/http's own way: GOAWAY goes out with answers only.
func TestProbe(t *testing.T) {
	t.Parallel()
	if err := Probe(DoorClear); err != nil {
		t.Error(err)
	}
	err := Probe(DoorState)
	old := strings.HasPrefix(runtime.Version(), "go1.25") || strings.HasPrefix(runtime.Version(), "go1.26")
	if (err == nil) == old {
		t.Errorf("%s: %v", runtime.Version(), err)
	}
}

// BenchmarkProbe: what the first HTTP/2 connection of a process waits for.
func BenchmarkProbe(b *testing.B) {
	for b.Loop() {
		must.Do(b, Probe(DoorClear))
		_ = Probe(DoorState)
	}
}
