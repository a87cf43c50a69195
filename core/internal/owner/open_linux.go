package owner

import (
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// handle is the open file that was looked at, be it a symlink.
type handle struct{ file *os.File }

// open looks at a name in a directory, which is nil for the root.
func open(dir *entry, name string) (*entry, error) {
	at, path := 0, name
	if dir != nil {
		at, path = int(dir.file.Fd()), filepath.Join(dir.path, name) //nolint:forbidigo // it is a file, and nobody else has it
	}
	s, err := fd.Find(at, name, syscall.O_NOFOLLOW)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(s), path)
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &entry{path: path, info: info, handle: handle{f}}, nil
}

// target is where the symlink leads: see readlinkat(2) for the empty name.
func (e *entry) target() (string, error) {
	var empty [1]byte
	b := make([]byte, syscall.PathMax)
	n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, e.file.Fd(), //nolint:forbidigo // it is a file, and nobody else has it
		uintptr(unsafe.Pointer(&empty[0])), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0)
	if errno != 0 {
		return "", &os.PathError{Op: "readlink", Path: e.path, Err: errno}
	}
	return string(b[:n]), nil
}

// take hands the open file to the caller.
func (e *entry) take() (*os.File, error) {
	f := e.file
	e.file = nil
	return f, nil
}

func (h *handle) close() {
	if h.file != nil {
		_ = h.file.Close()
	}
}
