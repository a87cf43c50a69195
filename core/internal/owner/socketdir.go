package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// CheckDir is Dir for the directory of a socket. It accepts every directory on a system without owners, and where the
// directory "/" itself is neither root's nor this user's: in a user namespace that has no name for root all other
// users look alike.
func CheckDir(dir string) error {
	if uid, known := Of("/"); known && !trusted(uid) {
		return nil
	}
	if err := Dir(dir); !errors.Is(err, ErrUnsupported) {
		return err
	}
	return nil
}

// RuntimeDir returns $XDG_RUNTIME_DIR, "" if it is not set. The error is that it must not be used, because CheckDir
// says so: sudo -E and su keep the variable of the user before.
func RuntimeDir() (string, error) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return "", nil
	}
	if err := CheckDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("XDG_RUNTIME_DIR: %w", err)
	}
	return dir, nil
}

// Of returns the owner of a file. known is false if it can't be looked at.
func Of(path string) (uid int, known bool) {
	fi, err := os.Lstat(path)
	if err != nil {
		return 0, false
	}
	return uidOf(fi)
}

// IsTrusted reports whether a file belongs to root or to this process's user, or is on a system without owners.
func IsTrusted(fi fs.FileInfo) bool {
	uid, known := uidOf(fi)
	return !known || trusted(uid)
}

func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }
