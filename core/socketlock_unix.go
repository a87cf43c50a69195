//go:build unix

package core

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/owner"
	"github.com/gracex-go/gracex/core/internal/timing"
)

// lock waits until no other process binds a socket at this path, but no longer than limit: the other one can be stopped.
// The lock is flock(2) on a file beside the socket. Its holder removes the file, and only then gives up the lock, so that
// whoever has locked a file that is gone begins anew. A file that a killed process left behind is not locked.
func (f *socketFile) lock(limit time.Duration) (unlock func(), err error) {
	name := lockName(f.at)
	for late := time.Now().Add(limit); ; {
		file, err := openLock(name)
		if err != nil {
			return nil, fmt.Errorf("lock file %s: %w", lockName(f.path), err)
		}
		locked, err := fd.TryLock(file, false)
		if locked && isStill(file, name) {
			return func() {
				_ = os.Remove(name)
				_ = fd.Unlock(file)
				_ = file.Close()
			}, nil
		}
		_ = fd.Unlock(file)
		_ = file.Close()
		switch {
		case err != nil:
			return nil, fmt.Errorf("lock file %s: %w", lockName(f.path), err)
		case time.Now().After(late):
			return nil, fmt.Errorf("lock file %s: a process that opens this socket has had it for %v; "+
				"look which one it is (lslocks), and end it if it is stopped", lockName(f.path), limit)
		case !locked:
			time.Sleep(timing.BindPoll)
		}
	}
}

// openLock opens the file, which no other user may have made: that one could keep it locked.
func openLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, socketMode)
	if err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err == nil && !(fi.Mode().IsRegular() && owner.IsTrusted(fi)) {
		err = errors.New("it is another user's, or no file; remove it")
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// isStill reports whether name still is the file.
func isStill(file *os.File, name string) bool {
	was, err := file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(name)
	return err == nil && os.SameFile(now, was)
}
