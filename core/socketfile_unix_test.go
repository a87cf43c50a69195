//go:build unix

package core

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	need "github.com/gracex-go/gracex/internal/must"
)

// shortDir is a directory whose path leaves room for a unix socket's.
func shortDir(t *testing.T) string {
	t.Helper()
	dir := need.Get(os.MkdirTemp("", "gx"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// leaveSocket leaves a socket at path on which nobody listens, as a killed process does.
func leaveSocket(t *testing.T, path string) {
	t.Helper()
	ln := need.Get(net.ListenUnix("unix", &net.UnixAddr{Name: path}))(t)
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

// TestBindUnix_OneOfManyStartersServes, with and without a socket that a killed process has left at the path.
func TestBindUnix_OneOfManyStartersServes(t *testing.T) {
	t.Parallel()
	const rounds, starters = 300, 4
	path := filepath.Join(shortDir(t), "s")
	for round := range rounds {
		if round%2 == 0 {
			leaveSocket(t, path)
		}
		var mu sync.Mutex
		var all sync.WaitGroup
		var serving []net.Listener
		begin := make(chan struct{})
		for range starters {
			all.Go(func() {
				<-begin
				ln, err := openWith(context.Background(), net.ListenConfig{}, "unix", path)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					serving = append(serving, ln)
				} else if !errors.Is(err, syscall.EADDRINUSE) {
					t.Error(err)
				}
			})
		}
		close(begin)
		all.Wait()
		if len(serving) != 1 {
			t.Errorf("round %d: %d starters serve", round, len(serving))
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatalf("round %d: the one that serves can't be reached: %v", round, err)
		}
		c.Close()
		for _, ln := range serving {
			ln.Close()
		}
		entries := need.Get(os.ReadDir(filepath.Dir(path)))(t)
		if len(entries) != 0 {
			t.Fatalf("round %d leaves %v", round, entries)
		}
	}
}

// TestBindUnix_ReplacesNothingWithoutTheLock: another user's lock file, or what is no file, is not waited for.
func TestBindUnix_ReplacesNothingWithoutTheLock(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	must(t, os.Symlink("elsewhere", filepath.Join(dir, ".s.lock")))
	ln, err := openWith(t.Context(), net.ListenConfig{}, "unix", path)
	if err != nil {
		t.Fatalf("a free path: %v", err)
	}
	ln.Close()
	leaveSocket(t, path)
	ln, err = openWith(t.Context(), net.ListenConfig{}, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.Is(err, syscall.ELOOP) {
		t.Errorf("a path that is taken: %v, %v", ln, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); err == nil {
		t.Error("the symlink was followed")
	}
}

// TestLock_IsNotWaitedForWithoutEnd: its holder can be a process that is stopped.
func TestLock_IsNotWaitedForWithoutEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	f := openSocketFile(path)
	defer f.done()
	unlock := need.Get(f.lock(patience))(t)
	if again, err := f.lock(time.Millisecond); err == nil || !strings.Contains(err.Error(), "lock file "+lockName(path)+": a process that opens this socket has had it for 1ms") {
		t.Errorf("while one has it: %v, %v", again != nil, err)
	}
	time.AfterFunc(time.Millisecond, unlock)
	need.Get(f.lock(patience))(t)()
	if _, err := os.Lstat(lockName(path)); err == nil {
		t.Error("the lock file is left")
	}
}

// TestListenInFolder checks the way of systems that can't set the mode before bind. The listener's Addr has the name in
// the folder there.
func TestListenInFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	open := func() (net.Listener, error) {
		return bindUnix("unix", path, func() (net.Listener, error) { return listenInFolder(path) })
	}
	leaveSocket(t, path)
	ln := need.Get(open())(t)
	defer ln.Close()
	if fi := need.Get(os.Lstat(path))(t); fi.Mode() != os.ModeSocket|socketMode {
		t.Errorf("mode %v", fi.Mode())
	}
	if entries := need.Get(os.ReadDir(filepath.Dir(path)))(t); len(entries) != 1 {
		t.Errorf("%v are left", entries)
	}
	if again, err := open(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("while it listens: %v, %v", again, err)
	}
	need.Get(net.Dial("unix", path))(t).Close()
	l := need.Get(newListener(ln, -1, networkControl, path))(t)
	must(t, l.Close())
	if _, err := os.Lstat(path); err == nil {
		t.Error("the closed listener's path is there")
	}
}

// TestOpenControl_LooksAtTheDirectory before it makes anything in it.
func TestOpenControl_LooksAtTheDirectory(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	ln := need.Get(openControl(filepath.Join(dir, "new", "s"), false))(t)
	ln.Close()
	if fi := need.Get(os.Stat(filepath.Join(dir, "new")))(t); fi.Mode().Perm() != socketDirMode {
		t.Errorf("the directory that was made has mode %v", fi.Mode())
	}
	must(t, os.Chmod(dir, 0o777))
	for _, path := range []string{"s", "other/s", "new/s"} {
		if ln, err := openControl(filepath.Join(dir, path), false); err == nil || !strings.Contains(err.Error(), "can change "+dir+" (mode drwxrwxrwx, owner ") {
			t.Errorf("%s: %v, %v", path, ln, err)
		}
	}
	if entries := need.Get(os.ReadDir(dir))(t); len(entries) != 1 {
		t.Errorf("%v are there", entries)
	}
}
