//go:build unix && !linux

package owner

import (
	"os"
	"path/filepath"
)

// handle is nothing here. What leads to a name was checked before the name, so that nobody else can change it.
type handle struct{}

// open looks at a name in a directory, which is nil for the root.
func open(dir *entry, name string) (*entry, error) {
	path := name
	if dir != nil {
		path = filepath.Join(dir.path, name)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	return &entry{path: path, info: info}, nil
}

// target is where the symlink leads.
func (e *entry) target() (string, error) { return os.Readlink(e.path) }

// take opens the file.
func (e *entry) take() (*os.File, error) { return os.Open(e.path) }

func (handle) close() {}
