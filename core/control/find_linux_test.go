package control

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestFindElsewhere: the socket of a pid is found wherever it is. It is this test's own
// process that listens there.
func TestFindElsewhere(t *testing.T) {
	path := filepath.Join(runtimeDir(t), "with space")
	play(t, path, says(Protocol, 200, Status{Protocol: Protocol, PID: os.Getpid()}))
	c := must.Get(Find(t.Context(), Query{PID: os.Getpid()}))(t)
	if c.Path() != path {
		t.Errorf("found %s, want %s", c.Path(), path)
	}
}
