package pidfile

import (
	"os"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// lock locks the file at path for as long as it stays open in this process. It is nil on a system or a file system without
// locks.
func lock(path string) *os.File {
	f, err := open(path)
	if err != nil {
		return nil
	}
	if locked, _ := fd.TryLock(f, false); !locked {
		_ = f.Close()
		return nil
	}
	return f
}

// isLocked reports whether a process holds the lock of a file.
func isLocked(f *os.File) bool {
	free, err := fd.TryLock(f, true)
	if free {
		_ = fd.Unlock(f)
	}
	return err == nil && !free
}
