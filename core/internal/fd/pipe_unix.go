//go:build unix

package fd

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// pipeSize is how much a writer may be ahead of its reader, in bytes, where the
// system lets that be chosen: it is what pipe(7) allows everybody.
const pipeSize = 1 << 20

// Pipe makes a pipe for another process's output. Reads from r end when it is
// closed or at its deadline. The descriptor w is blocking, as a process expects
// of its stdout and stderr. Both are close-on-exec and the caller's.
func Pipe() (r *os.File, w int, err error) {
	var p [2]int
	syscall.ForkLock.RLock()
	err = syscall.Pipe(p[:])
	if err == nil {
		syscall.CloseOnExec(p[0])
		syscall.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, os.NewSyscallError("pipe", err)
	}
	setPipeSize(p[1], pipeSize)
	if err := SetNonblock(p[0]); err != nil {
		_, _ = syscall.Close(p[0]), syscall.Close(p[1])
		return nil, -1, err
	}
	return os.NewFile(uintptr(p[0]), "pipe"), p[1], nil
}

// PipeID returns the inode number of the pipe end s, or an error that says what s is.
// It is the same for all descriptors of that end, in all processes.
func PipeID(s int) (uint64, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(s, &st); err == nil && st.Mode&syscall.S_IFMT == syscall.S_IFIFO {
		return uint64(st.Ino), nil //nolint:unconvert // it is 32 bits wide on some systems
	}
	what, _ := describe(s)
	return 0, fmt.Errorf("descriptor %d is %s, not a pipe", s, what)
}

// CheckOpen returns nil if s is open.
func CheckOpen(s int) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(s, &st); err != nil {
		return fmt.Errorf("descriptor %d is not open", s)
	}
	return nil
}

// CheckOutput returns nil if what is written to s may as well come through a pipe
// and another process, else an error that says why not.
func CheckOutput(s int) error {
	if !canReplace {
		return ErrUnsupported
	}
	var st, null syscall.Stat_t
	if err := syscall.Fstat(s, &st); err != nil {
		return fmt.Errorf("descriptor %d is not open", s)
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFCHR && (syscall.Stat(os.DevNull, &null) != nil || null.Rdev != st.Rdev) {
		return fmt.Errorf("descriptor %d is a terminal or device", s)
	}
	// A Go program that finds its stderr blocking does not expect another one.
	return checkBlocking(s)
}

// checkBlocking returns an error if s does not block.
func checkBlocking(s int) error {
	dup, err := DupOf(s)
	if err != nil {
		return err
	}
	// A file has deadlines if the descriptor was non-blocking; NewFile changes nothing.
	f := os.NewFile(uintptr(dup), "output")
	defer f.Close()
	if err := f.SetWriteDeadline(time.Time{}); !errors.Is(err, os.ErrNoDeadline) {
		return fmt.Errorf("descriptor %d is non-blocking", s)
	}
	return nil
}

// fullPause is how long a write waits for room in a file that does not block.
const fullPause = time.Millisecond

// WriteAll writes all of b to s, which may be non-blocking or not: it is shared with
// other processes, and its flags are left alone. It does not end this process when
// nobody reads from s any more, as a write to os.Stderr would.
func WriteAll(s int, b []byte) error {
	for len(b) > 0 {
		n, err := syscall.Write(s, b)
		switch {
		case err == nil:
			b = b[n:]
		case errors.Is(err, syscall.EAGAIN):
			time.Sleep(fullPause)
		case !errors.Is(err, syscall.EINTR):
			return os.NewSyscallError("write", err)
		}
	}
	return nil
}

// Blocking makes the file behind rc blocking, for a program that knows nothing else,
// and calls f with its descriptor.
func Blocking(rc syscall.RawConn, f func(s int)) error {
	var berr error
	err := rc.Control(func(s uintptr) {
		if berr = syscall.SetNonblock(int(s), false); berr == nil {
			f(int(s))
		}
	})
	if err == nil {
		err = os.NewSyscallError("fcntl", berr)
	}
	return err
}
