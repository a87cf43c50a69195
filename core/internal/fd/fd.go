// Package fd holds the few descriptor calls of a handover. It never goes through os.File.Fd or
// exec.Cmd.ExtraFiles for a socket that is shared with another process: both clear O_NONBLOCK on the open
// file, and an Accept that blocks in the kernel does not return when the listener is closed
// (golang/go#29277).
package fd

import "errors"

// First is the first descriptor a new process inherits after stdin, stdout and stderr.
const First = 3

// Stderr is the descriptor of stderr, whatever os.Stderr is.
const Stderr = 2

// ErrUnsupported is returned on systems where descriptors can't be passed on.
var ErrUnsupported = errors.New("passing descriptors on is not supported on this system")
