package conns

import (
	"errors"
	"os"
	"syscall"
)

// poller tells on which of many sockets something has come. It is an epoll instance, for which the Go runtime waits
// like for any other file. Any goroutine may call its methods, but one calls wait.
type poller struct {
	epoll  int
	file   *os.File
	conn   syscall.RawConn
	events [128]syscall.EpollEvent
	ready  []int
}

// edge is EPOLLET, which is negative in package syscall.
const edge = 1 << 31

func newPoller() (*poller, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(epoll, true); err != nil {
		_ = syscall.Close(epoll)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{epoll: epoll, file: os.NewFile(uintptr(epoll), "epoll")}
	if p.conn, err = p.file.SyscallConn(); err != nil {
		_ = p.file.Close()
		return nil, err
	}
	return p, nil
}

// add has the poller wait for the socket s. What is there already counts. It tells once for all that has come.
func (p *poller) add(s int) error {
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | edge, Fd: int32(s)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, s, &event))
}

// remove is needed also for a socket that is closed next: another descriptor or process can have it open.
func (p *poller) remove(s int) { _ = syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, s, nil) }

// wait returns sockets on which something has come, valid until the next call. A socket can have been removed meanwhile,
// and its number be another one's. The error is that of close.
func (p *poller) wait() ([]int, error) {
	p.ready = p.ready[:0]
	err := p.conn.Read(func(epoll uintptr) bool {
		n, err := syscall.EpollWait(int(epoll), p.events[:], 0)
		for errors.Is(err, syscall.EINTR) {
			n, err = syscall.EpollWait(int(epoll), p.events[:], 0)
		}
		for _, e := range p.events[:max(n, 0)] {
			p.ready = append(p.ready, int(e.Fd))
		}
		return n > 0
	})
	return p.ready, err
}

// close ends wait. Nothing is called after it.
func (p *poller) close() { _ = p.file.Close() }
