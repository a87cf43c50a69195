//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package pidfile

import (
	"errors"
	"os"
	"syscall"
)

// lock locks the file at path for as long as it stays open in this process. It is nil on a file system without locks.
// The lock goes on with the file when that is renamed, and the kernel gives it up with the process.
func lock(path string) *os.File {
	f, err := open(path)
	if err != nil {
		return nil
	}
	if flock(f, syscall.LOCK_EX) != nil {
		_ = f.Close()
		return nil
	}
	return f
}

// locked reports whether a process holds the lock of a file.
func locked(f *os.File) bool { return errors.Is(flock(f, syscall.LOCK_SH), syscall.EWOULDBLOCK) }

// flock is flock(2), without a wait. The descriptor stays as it is, which File.Fd would change.
func flock(f *os.File, how int) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := c.Control(func(s uintptr) { err = syscall.Flock(int(s), how|syscall.LOCK_NB) }); cerr != nil {
		return cerr
	}
	return err
}
