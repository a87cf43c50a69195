//go:build unix

package fd

import (
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
	dir, err := os.Open("/dev/fd")
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
