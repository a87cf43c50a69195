package peer

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"

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
	hand *hand        // nil: nobody asks for it
}

// hand is what the goroutine that reads frames has in hand: nothing, something that it is at work on until it has passed
// it on, or a part of a frame whose rest it waits for. Nothing that was written to a socket is in neither place, the
// socket or the hand, before it is passed on.
type hand struct{ atomic.Int32 }

const (
	handEmpty int32 = iota // nothing: all that was read was passed on
	handFull               // it is at work on something
	handWaits              // it has a part of a frame, and reads on
)

// notes is the ear that says what it has in hand.
func (e ear) notes(h *hand) ear {
	in := &noticed{Reader: e.in, hand: h}
	if e.unix != nil {
		in.conn, _ = e.unix.SyscallConn()
	}
	return ear{in: in, unix: e.unix, hand: h}
}

// pending reports whether something is in the socket that nobody has read, or its end, which comes to the reader.
func pending(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	return err == nil && fd.Pending(rc)
}

// noticed notes that something is read before it is taken from the socket.
type noticed struct {
	io.Reader
	conn syscall.RawConn // nil: it is noted afterwards
	hand *hand
}

func (r *noticed) Read(b []byte) (int, error) {
	r.hand.CompareAndSwap(handFull, handWaits)
	if r.conn != nil {
		if _, err := fd.Await(r.conn); err == nil {
			r.hand.Store(handFull)
		}
	}
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.hand.Store(handFull)
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
		return ear{in: r, unix: r}
	}
	return ear{in: c}
}

// read returns the next frame. The one before was passed on. Nothing can be believed of one that several processes have
// written.
func (e ear) read() (h heard, err error) {
	if e.hand != nil {
		e.hand.Store(handEmpty)
	}
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
