// Package pidfile writes the file that tells a supervisor which process is current.
//
// It is written to a temporary file in the same directory and renamed, so that a reader sees the old pid or
// the new one and never an empty file, and it is removed only by the process it names.
package pidfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// File is a pid file that has been prepared: the temporary file is complete on
// the disk, so Commit has only the rename left that could fail.
type File struct {
	path string
	temp string
}

// Prepare writes pid to a temporary file beside path. The error names the path and what to do.
func Prepare(path string, pid int) (*File, error) {
	dir := filepath.Dir(path)
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("pid file %s: there is a %s in its place; remove it or choose another path", path, kind(fi))
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("pid file %s: the directory %s does not exist; create it or choose another path: %w", path, absolute(dir), err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("pid file %s: the directory %s is not writable for this user; change its mode or choose another path: %w",
			path, absolute(dir), err)
	case err != nil: // as on a read-only file system
		return nil, fmt.Errorf("pid file %s: no file can be made in the directory %s; choose another path: %w", path, absolute(dir), err)
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
	if err != nil {
		_ = os.Remove(f.Name())
		return nil, fmt.Errorf("pid file %s: %w", path, err)
	}
	return &File{path: path, temp: f.Name()}, nil
}

// absolute is dir by its whole path. A service manager sets the working directory, and its user may not know it.
func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

func kind(fi fs.FileInfo) string {
	if fi.IsDir() {
		return "directory"
	}
	return "special file (" + fi.Mode().Type().String() + ")"
}

// Commit puts the file in place.
func (f *File) Commit() error {
	if err := os.Rename(f.temp, f.path); err != nil {
		_ = os.Remove(f.temp)
		return fmt.Errorf("pid file %s: %w", f.path, err)
	}
	return nil
}

// Discard removes the temporary file; the file at path stays as it is.
func (f *File) Discard() { _ = os.Remove(f.temp) }

// Write is Prepare and Commit.
func Write(path string, pid int) error {
	f, err := Prepare(path, pid)
	if err != nil {
		return err
	}
	return f.Commit()
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

// Read returns the pid in the file at path.
func Read(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("pid file %s: holds no process number", path)
	}
	return pid, nil
}
