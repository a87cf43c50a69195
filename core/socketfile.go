package core

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/timing"
)

// socketFile is the path of a unix socket, in a directory that is opened once where the system allows that: then
// what was looked at there is what is removed there, also if somebody puts another directory in place meanwhile.
type socketFile struct {
	path string // as it was given
	at   string // the same, by way of the open directory
	done func() // closes that
}

func openSocketFile(path string) *socketFile {
	dir, done := pinDir(filepath.Dir(path))
	return &socketFile{path, filepath.Join(dir, filepath.Base(path)), done}
}

// isPath reports whether the address of a unix socket is a file, and no name in the abstract namespace: see unix(7).
func isPath(address string) bool { return address != "" && address[0] != '@' && address[0] != 0 }

// bindUnix calls bind for a unix socket at path, and replaces one there that a crashed process has left behind. Of all
// processes on gracex one at a time does so: another one would take a socket that is bound and does not listen yet for
// one that is left behind, and remove it.
func bindUnix[T any](network, path string, bind func() (T, error)) (T, error) {
	if !isPath(path) {
		return bind()
	}
	f := openSocketFile(path)
	defer f.done()
	unlock, lockErr := f.lock(timing.Bind)
	if lockErr == nil {
		defer unlock()
	}
	sock, err := bind()
	if !errors.Is(err, syscall.EADDRINUSE) {
		return sock, err
	}
	if lockErr != nil {
		return sock, fmt.Errorf("%w, and it is not replaced without a lock: %w", err, lockErr)
	}
	if f.removeStale(network) {
		return bind()
	}
	return sock, err
}

// lockName is that of the lock file beside a socket, which is there only while a process binds.
func lockName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".lock")
}

// removeStale removes a unix socket that a crashed process left behind: one that nobody listens on. The caller has
// the lock.
func (f *socketFile) removeStale(network string) bool {
	fi, err := os.Lstat(f.at)
	if err != nil || fi.Mode().Type() != fs.ModeSocket {
		return false
	}
	c, err := net.DialTimeout(network, f.at, timing.Knock)
	if err == nil {
		_ = c.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) && f.remove(fi)
}

// remove removes the path if it still is the file was.
func (f *socketFile) remove(was fs.FileInfo) bool {
	now, err := os.Lstat(f.at)
	return err == nil && os.SameFile(now, was) && os.Remove(f.at) == nil
}

// removePath removes a unix socket's path if it still is the file that was
// there when the listener was opened: another server may have put its own there.
func removePath(path string, was fs.FileInfo) {
	f := openSocketFile(path)
	defer f.done()
	f.remove(was)
}

// pathRemover returns what removes the unix socket at path if it still is the
// one that is there now.
func pathRemover(path string) func() {
	was, err := os.Lstat(path)
	if err != nil {
		return func() {}
	}
	return func() { removePath(path, was) }
}
