//go:build unix

package fd

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
)

// CloseOnExecFrom keeps first and all descriptors above it from every program that this process starts. A
// fork clears that again on those which it passes on. What this process opened has it already; this is for
// what it was given unasked by whoever started it.
func CloseOnExecFrom(first int) {
	if closeRange(first) != nil {
		closeOnExecWalk(first)
	}
}

// closeOnExecWalk does it for what the system lists.
func closeOnExecWalk(first int) {
	dir, err := listing()
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if s, err := strconv.Atoi(name); err == nil && s >= first {
			CloseOnExec(s)
		}
	}
}

// listing opens the directory that lists the descriptors of this process. A container can have a /dev of its own,
// without that.
func listing() (*os.File, error) {
	dir, err := os.Open("/dev/fd")
	if errors.Is(err, fs.ErrNotExist) {
		dir, err = os.Open("/proc/self/fd")
	}
	return dir, err
}
