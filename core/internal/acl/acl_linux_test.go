package acl_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/acl"
	"github.com/gracex-go/gracex/internal/must"
)

// TestSet_OfASocketAlone: what is in its place, or a symlink to it, stays as it is.
func TestSet_OfASocketAlone(t *testing.T) {
	t.Parallel()
	dir := must.Get(os.MkdirTemp("", "gxl"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := func(name string) string { return filepath.Join(dir, name) }
	ln := must.Get(net.Listen("unix", path("s")))(t)
	t.Cleanup(func() { ln.Close() })
	must.Do(t, os.Chmod(path("s"), 0o600))
	must.Do(t, os.WriteFile(path("file"), nil, 0o600))
	must.Do(t, os.Symlink("s", path("link")))
	for _, name := range []string{"file", "link", "none"} {
		if err := acl.Set(path(name), acl.ReadWrite, []int{1000}); err == nil {
			t.Errorf("%s has a list", name)
		}
		must.Do(t, acl.Clear(path(name), 0o644))
	}
	must.Do(t, acl.Clear(path("s"), 0o644)) // it has none, and stays as it is
	err := acl.Set(path("s"), acl.ReadWrite, []int{2000, 1000, 2000})
	if errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skip(err)
	}
	must.Do(t, err)
	want := func(mode os.FileMode) {
		t.Helper()
		if fi := must.Get(os.Stat(path("s")))(t); fi.Mode().Perm() != mode {
			t.Errorf("mode %v, want %v", fi.Mode().Perm(), mode)
		}
	}
	want(0o660) // the group's is the mask of the list
	if err := acl.Clear(path("link"), 0o644); err == nil {
		t.Error("the list was taken away through a symlink")
	}
	want(0o660)
	must.Do(t, acl.Set(path("s"), acl.ReadWrite, []int{1000}))
	must.Do(t, acl.Clear(path("s"), 0o600))
	want(0o600)
}
