package fd

import (
	"os"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestCountOpen is not parallel: other tests open files.
func TestCountOpen(t *testing.T) {
	if fi, err := os.Stat("/proc/self/fd"); err != nil || fi.Size() == 0 {
		t.Skip("the size of /proc/self/fd is no count: Linux before 6.2, or no /proc")
	}
	before, ok := countOpen()
	if !ok {
		t.Fatal("the count is not believed")
	}
	free, limit, _ := Free()
	if free != limit-before {
		t.Errorf("%d descriptors are free, want %d without %d", free, limit, before)
	}
	const more = 300
	for range more {
		f := must.Get(os.Open(os.DevNull))(t)
		defer f.Close()
	}
	dir := must.Get(listing())(t)
	names := must.Get(dir.Readdirnames(-1))(t)
	must.Do(t, dir.Close())
	after, ok := countOpen()
	if !ok || after != before+more || after != len(names)-1 {
		t.Errorf("%d are open, %v; want %d, and %d are listed", after, ok, before+more, len(names)-1)
	}
}
