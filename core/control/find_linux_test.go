package control

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFindElsewhere: the socket of a pid is found wherever it is. It is this test's own
// process that listens there.
func TestFindElsewhere(t *testing.T) {
	path := filepath.Join(runtimeDir(t), "with space")
	play(t, path, says(Protocol, 200, Status{Protocol: Protocol, PID: os.Getpid()}))
	c, err := Find(t.Context(), Query{PID: os.Getpid()})
	must(t, err)
	if c.Path() != path {
		t.Errorf("found %s, want %s", c.Path(), path)
	}
}
