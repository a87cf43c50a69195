package proc

import (
	"errors"
	"fmt"
)

// ErrNotShown means that the kernel does not show a process to be what something says that it is.
var ErrNotShown = errors.New("no signal is sent to a process that the system does not show to be the one that is meant")

// NotShown names the process, and what it is not.
func NotShown(pid int, isNot string) error {
	return fmt.Errorf("process %d (%s) %s: %w", pid, Name(pid), isNot, ErrNotShown)
}
