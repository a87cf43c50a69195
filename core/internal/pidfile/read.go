package pidfile

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxBytes is more than a process number takes, with its line end.
const maxBytes = 32

// Read returns the pid in the file at path. It waits for no other process: what is no regular file is an error, and a
// link, too.
func Read(path string) (int, error) {
	pid, _, err := Look(path)
	return pid, err
}

// Look is like Read, and reports whether a process holds the file because it serves.
func Look(path string) (pid int, held bool, err error) {
	f, err := open(path)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return 0, false, err
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 || len(b) > maxBytes {
		return 0, false, fmt.Errorf("pid file %s: holds no process number", path)
	}
	return pid, isLocked(f), nil
}

// open opens a regular file. It looks before: to open a device can do something.
func open(path string) (*os.File, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, notRegular(path, fi)
	}
	return openRegular(path)
}

// openRegular is open for what was a regular file, and may have been replaced since.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = notRegular(path, fi)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func notRegular(path string, fi os.FileInfo) error {
	return fmt.Errorf("pid file %s: there is a %s in its place; remove it or choose another path", path, kind(fi))
}
