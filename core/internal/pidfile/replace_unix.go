//go:build unix

package pidfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// noWait opens a FIFO without its writer, and no link: see open(2).
const noWait = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// inTheWay says what keeps a rename from replacing the file at path, and what to do; "" if nothing is known.
//
// The kernel is asked by rmdir, which never removes a file. Linux looks first whether anything may be taken away there
// by this process (EPERM: a sticky directory, a file that is immutable or append-only), as for a rename, and only then
// whether it is a directory.
func inTheWay(path, dir string, fi fs.FileInfo) string {
	// "/." follows a link, as /var/run is one.
	if mount := mountOf(path); mount != "" && mount != mountOf(filepath.Dir(path)+"/.") {
		return "it is mounted there by itself, and can't be replaced; mount its directory instead, or choose another path"
	}
	if !errors.Is(syscall.Rmdir(path), syscall.EPERM) {
		return ""
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	in, err := os.Stat(dir)
	if ok && err == nil && in.Mode()&fs.ModeSticky != 0 && int64(st.Uid) != int64(os.Geteuid()) {
		return fmt.Sprintf("the file belongs to user %d, and in the sticky directory %s no other user can replace it; "+
			"remove it, or choose a path in a directory of the app", st.Uid, dir)
	}
	return "the system does not let this process replace the file, as with one that is immutable or append-only; " +
		"change its attributes (lsattr, chattr), or choose another path"
}
