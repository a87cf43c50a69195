// Package fd holds the few descriptor calls of a handover. It never goes through os.File.Fd or
// exec.Cmd.ExtraFiles for a socket that is shared with another process: both clear O_NONBLOCK on the open
// file, and an Accept that blocks in the kernel does not return when the listener is closed
// (golang/go#29277).
package fd

import (
	"errors"
	"fmt"
	"io"
	"net"
)

// First is the first descriptor a new process inherits after stdin, stdout and stderr.
const First = 3

// Stderr is the descriptor of stderr, whatever os.Stderr is.
const Stderr = 2

// ErrUnsupported is returned on systems where descriptors can't be passed on.
var ErrUnsupported = errors.New("passing descriptors on is not supported on this system")

// ErrTorn is returned when a part was written, and the rest could not be. Nothing may follow a part of a message: the
// peer would take it for the rest. So the connection is closed.
var ErrTorn = errors.New("only a part of the message was written; the connection is closed")

// Write writes all of b to c with one call, or closes c if only a part was written: ErrTorn. The caller keeps other writers out.
func Write(c io.WriteCloser, b []byte) error {
	n, err := c.Write(b)
	return whole(c, n, len(b), err)
}

// whole returns what it means that n of size bytes were written to c, with this error.
func whole(c io.Closer, n, size int, err error) error {
	if n <= 0 || n >= size {
		return err
	}
	_ = c.Close()
	return fmt.Errorf("%w (%d of %d bytes): %w", ErrTorn, n, size, err)
}

// UnixConn is Conn for a socket that must be a unix socket.
func UnixConn(s int) (*net.UnixConn, error) {
	c, err := Conn(s)
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UnixConn); ok {
		return u, nil
	}
	_ = c.Close()
	return nil, fmt.Errorf("descriptor %d is no unix socket", s)
}
