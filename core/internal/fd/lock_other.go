//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package fd

import "os"

// TryLock is not supported here: package syscall has no flock.
func TryLock(*os.File, bool) (locked bool, err error) { return false, ErrUnsupported }

// Unlock is not supported here.
func Unlock(*os.File) error { return ErrUnsupported }
