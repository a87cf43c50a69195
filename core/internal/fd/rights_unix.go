//go:build unix

package fd

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// MaxFiles is how many descriptors one message may carry (SCM_MAX_FD, unix(7)).
const MaxFiles = 253

// Send writes b to c as Write does, with the descriptors attached, which stay the caller's. The peer's Receiver has
// them once it has read the first byte of b.
func Send(c *net.UnixConn, b []byte, files []int) error {
	n, _, err := c.WriteMsgUnix(b, syscall.UnixRights(files...), nil)
	if err == nil && n < len(b) {
		var rest int
		rest, err = c.Write(b[n:])
		n += rest
	}
	return whole(c, n, len(b), err)
}

// Receiver reads from a unix socket and keeps the descriptors that come along, and who has written what was read.
// A plain Read would make the kernel drop them.
type Receiver struct {
	*net.UnixConn
	oob     []byte
	files   []int
	speaker Speaker
	spoken  bool // something was read since the last call of Speaker
	several bool // ... that several processes have written
}

// NewReceiver makes the Receiver of c.
func NewReceiver(c *net.UnixConn) *Receiver {
	return &Receiver{UnixConn: c, oob: make([]byte, syscall.CmsgSpace(4*MaxFiles)+speakerSpace)}
}

// Read reads as c.Read does, and returns io.EOF itself at the end, for which io.ReadFull and its like look.
func (r *Receiver) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, oobn, _, _, err := r.ReadMsgUnix(b, r.oob)
	// Where descriptors did not fit into this process, the kernel has dropped
	// the last ones: Take returns fewer than were sent.
	msgs, perr := syscall.ParseSocketControlMessage(r.oob[:oobn])
	speaker := Speaker{}
	if perr == nil {
		for _, m := range msgs {
			if by, ok := speakerOf(&m); ok {
				speaker = by
				continue
			}
			files, _ := syscall.ParseUnixRights(&m)
			r.keep(files)
		}
	}
	if n > 0 { // never of two writers: see SO_PASSCRED in unix(7)
		r.several = r.spoken && (r.several || speaker != r.speaker)
		r.speaker, r.spoken = speaker, true
	}
	if errors.Is(err, io.EOF) {
		err = io.EOF // c.Read does not wrap it either, and io.ReadFull must know it
	}
	return max(n, 0), err // an io.Reader has no count below that
}

// keep keeps as many descriptors as one message may carry. A sender that attaches some to each byte would take all that
// this process may have.
func (r *Receiver) keep(files []int) {
	room := min(MaxFiles-len(r.files), len(files))
	for _, s := range files[room:] {
		_ = syscall.Close(s)
	}
	r.files = append(r.files, files[:room]...)
}

// Take returns the descriptors that have come since the last call, close-on-exec and the caller's. They are MaxFiles
// at most.
func (r *Receiver) Take() []int {
	files := r.files
	r.files = nil
	return files
}

// Speaker returns the process that has written what was read since the last call. It reports false if they are
// several: two processes have mixed up their words, or one has put its words into the other's.
func (r *Receiver) Speaker() (by Speaker, one bool) {
	by, one = r.speaker, !r.several
	r.speaker, r.spoken, r.several = Speaker{}, false, false
	return by, one
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

// AwaitEnd returns when the peer has closed or the connection has failed, or at the read deadline. Bytes that
// arrive are left where they are; while some wait, the end is not seen.
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

// Ended reports whether the peer has closed or the connection has failed, with nothing left to read.
func Ended(rc syscall.RawConn) bool {
	ended := false
	err := rc.Control(func(s uintptr) {
		n, err := peek1(s)
		ended = n == 0 && !errors.Is(err, syscall.EAGAIN)
	})
	return ended || err != nil
}

// Arrived reports whether bytes wait on the socket s, and if not, whether its peer has closed or the connection has
// failed.
func Arrived(s int) (bytes, ended bool) {
	n, err := peek1(uintptr(s))
	return n > 0, n == 0 && !errors.Is(err, syscall.EAGAIN)
}

// LocalTCP returns the local address of the TCP socket s; nil if it is none.
func LocalTCP(s int) net.Addr {
	sa, err := syscall.Getsockname(s)
	if err != nil {
		return nil
	}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	case *syscall.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}
	}
	return nil
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

// Free returns how many more descriptors this process may have, and how many in all. It
// reports false where that can't be seen.
func Free() (free, limit int, ok bool) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, 0, false
	}
	limit = int(min(lim.Cur, 1<<30))
	if n, ok := countOpen(); ok {
		return limit - n, limit, true
	}
	dir, err := listing()
	if err != nil {
		return 0, limit, errors.Is(err, syscall.EMFILE)
	}
	defer dir.Close()
	open, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, limit, false
	}
	return limit - (len(open) - 1), limit, true // without dir's own
}
