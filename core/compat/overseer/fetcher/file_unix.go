//go:build unix

package fetcher

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// trusted refuses a file that somebody else than this user and root can have written.
func trusted(path string, fi fs.FileInfo) error {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, and this is user %d: chown %d %s", path, st.Uid, os.Geteuid(), os.Geteuid(), path)
	}
	if fi.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("%s can be written by everybody (mode %v): chmod o-w %s", path, fi.Mode(), path)
	}
	return nil
}

func inode(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}
