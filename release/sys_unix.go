//go:build linux || darwin || freebsd

package release

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/google/renameio/v2"
)

// supported is nil where a Store works.
var supported error

// isDiskFull reports the errors of a disk, or a user's share of it, that has no room.
func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// flock takes the lock of an open file, and reports whether somebody else has it.
func flock(f *os.File) (taken bool, err error) {
	err = onFD(f, func(fd int) error { return syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// unlock gives the lock of a file up, whoever else has the file open.
func unlock(f *os.File) error {
	return onFD(f, func(fd int) error { return syscall.Flock(fd, syscall.LOCK_UN) })
}

// onFD calls do with the descriptor of f. File.Fd would clear O_NONBLOCK.
func onFD(f *os.File, do func(fd int) error) (err error) {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := c.Control(func(fd uintptr) { err = do(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// freeSpace returns how many bytes this user can still write to the file system of f.
func freeSpace(f *os.File) (int64, error) {
	var st syscall.Statfs_t
	err := onFD(f, func(fd int) error { return syscall.Fstatfs(fd, &st) })
	return int64(st.Bavail) * int64(st.Bsize), err //nolint:unconvert // it is another type on other systems
}

// ownerOf returns the user and the group that a file belongs to.
func ownerOf(fi fs.FileInfo) (uid, gid int) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// linksOf returns how many names a file has.
func linksOf(fi fs.FileInfo) int {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Nlink) // it is another type on other systems
	}
	return 1
}

// openNoFollow opens a file, and neither what a symlink leads to nor what would wait, such as a pipe.
func openNoFollow(path string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, perm)
}

// replaceFile writes a file whole or not at all. It is durable when the directory is synced, too.
func replaceFile(root *os.Root, name string, data []byte, uid, gid int) error {
	f, err := renameio.NewPendingFile(name, renameio.WithRoot(root), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { _ = f.Cleanup() }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := giveTo(f.File, uid, gid); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace() // syncs the file
}

// replaceLink has a symlink lead to target by one rename.
func replaceLink(root *os.Root, target, name string) error {
	return renameio.SymlinkRoot(root, target, name)
}

// giveTo has a file belong to the store's owner, if this is root. It has to be one that root has made: whose directory it
// is could have put another name of somebody's file there (link(2)).
func giveTo(f *os.File, uid, gid int) error {
	if os.Geteuid() != 0 {
		return nil
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	owner, _ := ownerOf(fi)
	if uid != 0 && !fi.IsDir() && (owner != 0 && owner != uid || linksOf(fi) > 1) {
		return fmt.Errorf("%s belongs to user %d, and has %d names: remove it", f.Name(), owner, linksOf(fi))
	}
	return f.Chown(uid, gid)
}
