package peer

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// heard is a frame with what came along.
type heard struct {
	wire.Frame
	by    fd.Speaker // that has written it
	files []int      // the receiver's
}

// ear reads frames from the handover socket.
type ear struct {
	in   io.Reader
	unix *fd.Receiver // nil for a pipe in this process
}

// noticed notes when something was read.
type noticed struct {
	io.Reader
	some *atomic.Bool
}

func (r *noticed) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.some.Store(true)
	}
	return n, err
}

// isBy is an error if another process has written the frame.
func (h heard) isBy(pid int) error {
	if h.by.PID == pid {
		return nil
	}
	return fmt.Errorf("%w: process %d has written a frame in the place of process %d", wire.ErrGarbage, h.by.PID, pid)
}

func newEar(c net.Conn) ear {
	if c, ok := c.(*net.UnixConn); ok {
		r := fd.NewReceiver(c)
		return ear{r, r}
	}
	return ear{in: c}
}

// read returns the next frame. Nothing can be believed of one that several processes have written.
func (e ear) read() (h heard, err error) {
	h.Frame, err = wire.Read(e.in)
	if e.unix == nil {
		h.by = fd.Speaker{PID: os.Getpid(), UID: os.Geteuid()}
		return h, err
	}
	by, one := e.unix.Speaker()
	if err == nil && !one {
		err = wire.ErrSeveral
	}
	h.by, h.files = by, e.unix.Take()
	return h, err
}

// makerOf is the process that has made the handover socket, as far as the system tells.
func makerOf(c net.Conn) (by fd.Speaker) {
	if c, ok := c.(*net.UnixConn); ok {
		if rc, err := c.SyscallConn(); err == nil {
			_ = rc.Control(func(s uintptr) { by, _ = fd.Maker(int(s)) })
		}
	}
	return by
}

// readAlone is read where no descriptors are asked for.
func (e ear) readAlone() (heard, error) {
	h, err := e.read()
	fd.CloseAll(h.files)
	h.files = nil
	return h, err
}
