package fd

import (
	"os"
	"sync/atomic"
	"syscall"
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

// TestCountOpen_LooksOnce: when the count was believed once, it needs no descriptor, of which there may be none. Not
// parallel: other tests open files.
func TestCountOpen_LooksOnce(t *testing.T) {
	before, ok := countOpen()
	if !ok {
		t.Skip("the size of /proc/self/fd is no count here")
	}
	var limit syscall.Rlimit
	must.Do(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	none := limit
	none.Cur = 0
	must.Do(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none))
	after, ok := countOpen()
	must.Do(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	if !ok || after != before {
		t.Errorf("%d, %v; want %d", after, ok, before)
	}
}

// TestCountOpen_LooksAtAll: a size that does not count descriptors is not believed, now or later.
func TestCountOpen_LooksAtAll(t *testing.T) {
	t.Parallel()
	dir, known := t.TempDir(), new(atomic.Bool)
	must.Do(t, os.WriteFile(dir+"/file", nil, 0o600))
	for range 2 {
		if n, ok := countIn(dir, known); ok || known.Load() {
			t.Errorf("%d is believed", n)
		}
	}
}
