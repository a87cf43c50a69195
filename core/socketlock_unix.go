//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package core

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/owner"
)

// lock waits until no other process binds a socket at this path. The lock is flock(2) on a file beside the socket. Its
// holder removes the file, and only then gives up the lock, so that whoever waited has locked a file that is gone, and
// begins anew. A file that a killed process left behind is not locked.
func (f *socketFile) lock() (unlock func(), err error) {
	name := f.lockName()
	for {
		file, err := openLock(name)
		if err != nil {
			return nil, err
		}
		same, err := lockFile(file, name)
		if err != nil {
			_ = file.Close()
			return nil, err
		}
		if same {
			return func() {
				_ = os.Remove(name)
				_ = file.Close()
			}, nil
		}
		_ = file.Close()
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
		err = fmt.Errorf("%s is another user's, or no file; remove it", name)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// lockFile waits for the lock, and reports whether name still is the file.
func lockFile(file *os.File, name string) (same bool, err error) {
	rc, err := file.SyscallConn()
	if err != nil {
		return false, err
	}
	var flockErr error
	cerr := rc.Control(func(s uintptr) {
		for {
			if flockErr = syscall.Flock(int(s), syscall.LOCK_EX); !errors.Is(flockErr, syscall.EINTR) {
				return
			}
		}
	})
	if err := errors.Join(cerr, flockErr); err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	locked, err := file.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(name)
	return err == nil && os.SameFile(now, locked), nil
}
