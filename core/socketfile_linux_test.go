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

// TestLockFile_OfAFileThatIsGone is no lock: its holder has removed it, and the next one has another file.
func TestLockFile_OfAFileThatIsGone(t *testing.T) {
	t.Parallel()
	name := filepath.Join(shortDir(t), "lock")
	waited := need.Get(openLock(name))(t)
	defer waited.Close()
	if same, err := lockFile(waited, name); err != nil || !same {
		t.Errorf("the file that is there: %v, %v", same, err)
	}
	must(t, os.Remove(name))
	if same, err := lockFile(waited, name); err != nil || same {
		t.Errorf("a file that is gone: %v, %v", same, err)
	}
	need.Get(openLock(name))(t).Close()
	if same, err := lockFile(waited, name); err != nil || same {
		t.Errorf("a file with another one in its place: %v, %v", same, err)
	}
}

// TestLock_IsOnTheFileThatIsThere: whoever has waited for one that is gone by now begins anew.
func TestLock_IsOnTheFileThatIsThere(t *testing.T) {
	t.Parallel()
	f := openSocketFile(filepath.Join(shortDir(t), "s"))
	defer f.done()
	unlock := need.Get(f.lock())(t)
	next := make(chan func(), 1)
	go func() {
		unlock, err := f.lock()
		if err != nil {
			t.Error(err)
		}
		next <- unlock
	}()
	awaitStack(t, "core.lockFile(")
	unlock()
	unlock = <-next
	if _, err := os.Lstat(f.lockName()); err != nil {
		t.Error(err)
	}
	unlock()
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
	if f, err := openLock(name); err == nil || !strings.Contains(err.Error(), name+" is another user's") {
		t.Errorf("%v, %v", f, err)
	}
}
