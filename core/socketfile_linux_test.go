package core

import (
	"net"
	"os"
	"path/filepath"
	"strings"
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

// TestIsStill_NotAFileThatIsGone: its holder has removed it, and the next one has another file.
func TestIsStill_NotAFileThatIsGone(t *testing.T) {
	t.Parallel()
	name := filepath.Join(shortDir(t), "lock")
	waited := need.Get(openLock(name))(t)
	defer waited.Close()
	if !isStill(waited, name) {
		t.Error("the file that is there is gone")
	}
	must(t, os.Remove(name))
	if isStill(waited, name) {
		t.Error("a file that is gone is still there")
	}
	need.Get(openLock(name))(t).Close()
	if isStill(waited, name) {
		t.Error("a file with another one in its place is still there")
	}
}

// TestOpenLock_IsNotAnotherUsers who could keep it locked.
func TestOpenLock_IsNotAnotherUsers(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	name := filepath.Join(shortDir(t), "lock")
	must(t, os.WriteFile(name, nil, 0o666))
	must(t, os.Chown(name, 65534, 65534))
	if f, err := openLock(name); err == nil || !strings.Contains(err.Error(), "it is another user's") {
		t.Errorf("%v, %v", f, err)
	}
}
