package core

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	need "github.com/gracex-go/gracex/internal/must"
)

// TestSocketFile_IsInTheDirectoryThatWasOpened: another directory, put in its place meanwhile, keeps its socket, dead
// or not.
func TestSocketFile_IsInTheDirectoryThatWasOpened(t *testing.T) {
	t.Parallel()
	up := shortDir(t)
	dir := filepath.Join(up, "dir")
	must(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "s")
	leaveSocket(t, path)
	f := openSocketFile(path)
	defer f.done()

	must(t, os.Rename(dir, filepath.Join(up, "moved")))
	must(t, os.Mkdir(dir, 0o700))
	ln := need.Get(net.Listen("unix", path))(t)
	defer ln.Close()
	if !f.removeStale("unix") {
		t.Error("the dead socket is still there")
	}
	need.Get(net.Dial("unix", path))(t).Close()

	leaveSocket(t, filepath.Join(up, "moved", "s"))
	was := need.Get(os.Lstat(filepath.Join(up, "moved", "s")))(t)
	if f.remove(need.Get(os.Lstat(path))(t)) {
		t.Error("another file was removed")
	}
	if !f.remove(was) {
		t.Error("the file is still there")
	}
}
