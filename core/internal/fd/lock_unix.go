//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package fd

import (
	"errors"
	"os"
	"syscall"
)

// TryLock locks a file for this process alone, or shared with others that do the same: see flock(2). It does not wait, and
// reports false if another open file has a lock that is in the way. The lock goes on with the file when that is renamed. It
// ends with f, or with the process. The descriptor stays as it is, which File.Fd would change.
func TryLock(f *os.File, shared bool) (locked bool, err error) {
	rc, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	cerr := rc.Control(func(s uintptr) {
		for {
			if err = syscall.Flock(int(s), how|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	})
	switch {
	case cerr != nil:
		return false, cerr
	case errors.Is(err, syscall.EWOULDBLOCK):
		return false, nil
	}
	return err == nil, os.NewSyscallError("flock", err)
}
