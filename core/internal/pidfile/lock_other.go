//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package pidfile

import "os"

// lock would lock a file; package syscall has no flock here.
func lock(string) *os.File { return nil }

// locked reports whether a process holds the lock of a file.
func locked(*os.File) bool { return false }
