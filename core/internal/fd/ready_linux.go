package fd

import (
	"cmp"
	"errors"
	"os"
	"syscall"
	"time"
)

// Waiter waits until one of several sockets has a connection to accept. Make it with NewWaiter.
type Waiter struct {
	file *os.File // an epoll instance, which the Go runtime can wait for like any other file
	conn syscall.RawConn
}

// NewWaiter returns a Waiter that has no socket yet.
func NewWaiter() (*Waiter, error) {
	s, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := SetNonblock(s); err != nil {
		_ = syscall.Close(s)
		return nil, err
	}
	w := &Waiter{file: os.NewFile(uintptr(s), "epoll")}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		_ = w.file.Close()
		return nil, err
	}
	return w, nil
}

// Add makes w wait for the socket behind rc, too. Wait returns the key for it.
func (w *Waiter) Add(rc syscall.RawConn, key int32) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: key}
	var serr, cerr error
	err := w.conn.Control(func(epoll uintptr) {
		serr = rc.Control(func(s uintptr) {
			cerr = os.NewSyscallError("epoll_ctl", syscall.EpollCtl(int(epoll), syscall.EPOLL_CTL_ADD, int(s), &event))
		})
	})
	return cmp.Or(err, serr, cerr)
}

// Wait returns the keys of sockets that have a connection. The error is os.ErrDeadlineExceeded or os.ErrClosed.
func (w *Waiter) Wait() (keys []int32, err error) {
	err = w.conn.Read(func(epoll uintptr) bool {
		var events [8]syscall.EpollEvent
		n, err := syscall.EpollWait(int(epoll), events[:], 0)
		for errors.Is(err, syscall.EINTR) {
			n, err = syscall.EpollWait(int(epoll), events[:], 0)
		}
		for _, e := range events[:max(n, 0)] {
			keys = append(keys, e.Fd)
		}
		return n > 0
	})
	return keys, err
}

// SetDeadline ends Wait then.
func (w *Waiter) SetDeadline(t time.Time) error { return w.file.SetReadDeadline(t) }

// Close ends Wait for good.
func (w *Waiter) Close() error { return w.file.Close() }
