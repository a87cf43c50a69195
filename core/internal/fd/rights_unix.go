//go:build unix

package fd

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// MaxFiles is how many descriptors one message may carry (SCM_MAX_FD, unix(7)).
const MaxFiles = 253

// Send writes b to c with the descriptors attached, which stay the caller's.
// The peer's Receiver has them once it has read the first byte of b.
func Send(c *net.UnixConn, b []byte, files []int) error {
	n, _, err := c.WriteMsgUnix(b, syscall.UnixRights(files...), nil)
	if err == nil && n < len(b) {
		_, err = c.Write(b[n:])
	}
	return err
}

// Receiver reads from a unix socket and keeps the descriptors that come along.
// A plain Read would make the kernel drop them.
type Receiver struct {
	*net.UnixConn
	oob   []byte
	files []int
}

// NewReceiver makes the Receiver of c.
func NewReceiver(c *net.UnixConn) *Receiver {
	return &Receiver{UnixConn: c, oob: make([]byte, syscall.CmsgSpace(4*MaxFiles))}
}

// Read reads as c.Read does.
func (r *Receiver) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, oobn, _, _, err := r.ReadMsgUnix(b, r.oob)
	// Where descriptors did not fit into this process, the kernel has dropped
	// the last ones: Take returns fewer than were sent.
	msgs, perr := syscall.ParseSocketControlMessage(r.oob[:oobn])
	if perr == nil {
		for _, m := range msgs {
			files, _ := syscall.ParseUnixRights(&m)
			r.files = append(r.files, files...)
		}
	}
	return n, err
}

// Take returns the descriptors that have come since the last call, close-on-exec
// and the caller's.
func (r *Receiver) Take() []int {
	files := r.files
	r.files = nil
	return files
}

// Await returns when something can be read from rc and leaves it there: n is 0
// at the end of the stream. A read deadline ends it with os.ErrDeadlineExceeded.
func Await(rc syscall.RawConn) (n int, err error) {
	rerr := rc.Read(func(s uintptr) bool {
		n, err = peek1(s)
		return !errors.Is(err, syscall.EAGAIN)
	})
	if rerr != nil {
		return 0, rerr
	}
	return n, os.NewSyscallError("recvfrom", err)
}

// AwaitEnd returns when the peer has closed or the connection has failed, or at
// the read deadline. Bytes that arrive are left where they are; while some wait,
// the end is not seen.
func AwaitEnd(rc syscall.RawConn) error {
	var err error
	rerr := rc.Read(func(s uintptr) bool {
		var n int
		n, err = peek1(s)
		return n == 0 && !errors.Is(err, syscall.EAGAIN)
	})
	if rerr != nil {
		return rerr
	}
	return os.NewSyscallError("recvfrom", err)
}

// peek1 looks for a byte without taking it: 0 and no error is the end.
func peek1(s uintptr) (int, error) {
	var b [1]byte
	for {
		n, _, err := syscall.Recvfrom(int(s), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return max(n, 0), err
		}
	}
}

// Free returns how many more descriptors this process may have, as far as that
// can be seen.
func Free() int {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0
	}
	dir, err := os.Open("/dev/fd")
	if err != nil {
		return 0
	}
	defer dir.Close()
	open, err := dir.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return int(min(lim.Cur, 1<<30)) - len(open)
}
