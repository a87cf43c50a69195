// Package pidfile writes the file that tells a supervisor which process is current.
//
// It is written to a temporary file in the same directory and renamed, so that a reader sees the old pid or
// the new one and never an empty file, and it is removed only by the process it names. The process that has put it
// there holds a lock on it while it serves.
//
// Any of this can block for ever on a network file system. So no goroutine calls it that something else waits for.
package pidfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// File is a pid file that has been prepared: the temporary file is complete on
// the disk, so Commit has only the rename left that could fail.
type File struct {
	path string
	temp string
	lock *os.File // the temporary file, locked; nil where there are no locks
}

// Prepare writes pid to a temporary file beside path, and finds out what would keep Commit from renaming it to path.
// The file at path stays as it is. The error names the path and what to do.
func Prepare(path string, pid int) (*File, error) {
	if fi, err := os.Lstat(path); err == nil && !isReplaced(fi) {
		return nil, fmt.Errorf("pid file %s: there is a %s in its place; remove it or choose another path", path, kind(fi))
	}
	temp, err := writeTemp(path, pid)
	if err != nil {
		return nil, err
	}
	f := &File{path: path, temp: temp}
	if err := f.rehearse(); err != nil {
		f.Discard()
		return nil, err
	}
	f.lock = lock(f.temp)
	return f, nil
}

// isReplaced reports whether a file of this kind can be what an app has left, or a link to that.
func isReplaced(fi fs.FileInfo) bool {
	return fi.Mode().IsRegular() || fi.Mode().Type() == fs.ModeSymlink
}

// writeTemp writes pid to a new file in the directory of path, and returns its name.
func writeTemp(path string, pid int) (name string, err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("pid file %s: the directory %s does not exist; create it or choose another path: %w", path, absolute(dir), err)
	case errors.Is(err, fs.ErrPermission):
		return "", fmt.Errorf("pid file %s: the directory %s is not writable for this user; change its mode or choose another path: %w",
			path, absolute(dir), err)
	case err != nil: // as on a read-only file system
		return "", fmt.Errorf("pid file %s: no file can be made in the directory %s; choose another path: %w", path, absolute(dir), err)
	}
	_, err = f.WriteString(strconv.Itoa(pid) + "\n")
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil { // as on a full one
		_ = os.Remove(f.Name())
		return "", fmt.Errorf("pid file %s: the directory %s takes no file; make room or choose another path: %w", path, absolute(dir), err)
	}
	return f.Name(), nil
}

// rehearse does of Commit what leaves no trace. It renames the temporary file in the directory, and asks whether the
// file at path can be replaced, which has rules of its own.
func (f *File) rehearse() error {
	dir := absolute(filepath.Dir(f.path))
	renamed := f.temp + "~"
	if err := os.Rename(f.temp, renamed); err != nil {
		return fmt.Errorf("pid file %s: no file can be renamed in the directory %s; choose another path: %w", f.path, dir, err)
	}
	f.temp = renamed
	if fi, err := os.Lstat(f.path); err == nil {
		if why := inTheWay(f.path, dir, fi); why != "" {
			return fmt.Errorf("pid file %s: %s", f.path, why)
		}
	}
	return nil
}

// absolute is dir by its whole path. A service manager sets the working directory, and its user may not know it.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

func kind(fi fs.FileInfo) string {
	switch {
	case fi.IsDir():
		return "directory"
	case fi.Mode().Type() == fs.ModeSymlink:
		return "symbolic link"
	}
	return "special file (" + fi.Mode().Type().String() + ")"
}

// Commit puts the file in place. Its lock is held until Release.
func (f *File) Commit() error {
	if err := os.Rename(f.temp, f.path); err != nil {
		f.Discard()
		return fmt.Errorf("pid file %s: %w", f.path, err)
	}
	return nil
}

// Release gives the lock up, which says that this process does not serve any more. The file stays. It does nothing on
// nil, and the second time.
func (f *File) Release() {
	if f != nil && f.lock != nil {
		_ = fd.Unlock(f.lock)
		_ = f.lock.Close()
		f.lock = nil
	}
}

// Discard removes the temporary file; the file at path stays as it is.
func (f *File) Discard() {
	_ = os.Remove(f.temp)
	f.Release()
}

// Write is Prepare, Commit and Release.
func Write(path string, pid int) error {
	f, err := Prepare(path, pid)
	if err != nil {
		return err
	}
	err = f.Commit()
	f.Release()
	return err
}

// Remove removes the file at path if it still names pid. A file that names
// another process belongs to that process.
func Remove(path string, pid int) error {
	got, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && got != pid) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Remove(path)
}
