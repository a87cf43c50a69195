package core

import (
	"fmt"
	"os"
	"syscall"
)

// pinDir returns a path that leads to the directory that dir is now, until done is called. It is dir itself if this
// process may not read the directory, or has no /proc.
func pinDir(dir string) (path string, done func()) {
	none := func() {}
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return dir, none
	}
	if rc, err := f.SyscallConn(); err == nil {
		_ = rc.Control(func(s uintptr) { path = fmt.Sprintf("/proc/self/fd/%d", s) })
	}
	want, err := f.Stat()
	if got, serr := os.Stat(path); err == nil && serr == nil && os.SameFile(got, want) {
		return path, func() { _ = f.Close() }
	}
	_ = f.Close()
	return dir, none
}
