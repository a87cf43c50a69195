package proc

import (
	"fmt"
	"os"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// Named opens the process that another one names by its number, which may be its own. The handle is for signals, so
// the one that names it must not gain by this process's rights:
//
//   - A speaker with fewer rights than this process can name only what it could signal itself.
//   - A number that is not the speaker's own is that of a descendant of this process. Where /proc is missing, or is
//     another pid namespace's, only a speaker with this process's rights can name such a one.
//
// A speaker that is not known is believed if this process is not root's: what it may signal is its own user's.
func Named(said int, by fd.Speaker) (*os.Process, error) {
	if said <= 1 {
		return nil, fmt.Errorf("%d is not the number of a process", said)
	}
	p, err := os.FindProcess(said) // first the handle: what is looked at by the number from here on is that process
	if err != nil {
		return nil, err
	}
	if err = mayName(said, by); err != nil {
		_ = p.Release()
		return nil, fmt.Errorf("process %d: %w", said, err)
	}
	return p, nil
}

// Itself opens the process that speaks, and says that it has this number. It opens the one that the kernel has for it if
// the number is not believed: a process in another pid namespace knows only that of the namespace.
func Itself(said int, by fd.Speaker) (*os.Process, error) {
	p, err := Named(said, by)
	if err != nil && by.Known() && by.PID != said {
		return Named(by.PID, by)
	}
	return p, err
}

func mayName(said int, by fd.Speaker) error {
	switch {
	case !by.Known() && by.Trusted():
		return nil
	case !by.Known():
		return fmt.Errorf("the system does not say which process has named it: %w", os.ErrPermission)
	case !by.Trusted() && !mayBeSignaledBy(said, by.UID):
		return fmt.Errorf("process %d of user %d, which has named it, may not signal it: %w", by.PID, by.UID, os.ErrPermission)
	case said != by.PID && seesOwn() && !IsDescendant(said, os.Getpid()):
		return fmt.Errorf("it is neither process %d, which has named it, nor a descendant of this process: %w", by.PID, os.ErrPermission)
	}
	return nil
}

// IsAncestor reports whether a process has started this one, or one above it, as far as the system tells.
func IsAncestor(pid int) bool { return pid == os.Getppid() || IsDescendant(os.Getpid(), pid) }

// maxDepth bounds the way from a process to one that it descends from.
const maxDepth = 1000

// IsDescendant reports whether ancestor has started the process, or one above it, as far as the system tells. A
// descendant whose parent has ended is one as long as the ancestor adopts such processes.
func IsDescendant(pid, ancestor int) bool {
	if !seesOwn() {
		return false
	}
	for range maxDepth {
		parent, known := Parent(pid)
		if !known || parent <= 0 {
			return false
		}
		if parent == ancestor {
			return true
		}
		pid = parent
	}
	return false
}
