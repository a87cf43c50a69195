//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package fd

import (
	"errors"
	"os"
	"syscall"
)

// TryLock locks a file for this process alone, or shared with others that do the same: see flock(2). It does not wait, and
// reports false if another open file has a lock that is in the way. The lock goes on with the file when that is renamed. It
// ends with Unlock, or with the process. The descriptor stays as it is, which File.Fd would change.
func TryLock(f *os.File, shared bool) (locked bool, err error) {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	err = flock(f, how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Unlock ends the lock of a file, and comes before its close: a child that this process has just forked has the file
// open until it executes its program, and with it the lock.
func Unlock(f *os.File) error { return flock(f, syscall.LOCK_UN) }

func flock(f *os.File, how int) error {
	rc, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := rc.Control(func(s uintptr) {
		for {
			if err = syscall.Flock(int(s), how); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return os.NewSyscallError("flock", err)
}
