//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package conns

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// poller tells on which of many sockets something has come. It is a kqueue. That can't be made non-blocking, so the Go
// runtime can't wait for it, and a thread does. Any goroutine may call its methods, but one calls wait.
type poller struct {
	queue  int
	end    [2]int // a pipe that is closed to end wait
	events [128]syscall.Kevent_t
	ready  []int
}

func newPoller() (*poller, error) {
	p := &poller{}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := syscall.Pipe(p.end[:]); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	queue, err := syscall.Kqueue()
	if err != nil {
		_, _ = syscall.Close(p.end[0]), syscall.Close(p.end[1])
		return nil, os.NewSyscallError("kqueue", err)
	}
	p.queue = queue
	for _, s := range []int{queue, p.end[0], p.end[1]} {
		syscall.CloseOnExec(s)
	}
	if err := p.add(p.end[0]); err != nil {
		p.close()
		p.release()
		return nil, err
	}
	return p, nil
}

// add has the poller wait for the socket s. What is there already counts. It tells once for all that has come.
func (p *poller) add(s int) error { return p.change(s, syscall.EV_ADD|syscall.EV_CLEAR) }

// remove is for a socket that is not waited for any more.
func (p *poller) remove(s int) { _ = p.change(s, syscall.EV_DELETE) }

func (p *poller) change(s, flags int) error {
	var change [1]syscall.Kevent_t
	syscall.SetKevent(&change[0], s, syscall.EVFILT_READ, flags)
	_, err := syscall.Kevent(p.queue, change[:], nil, nil)
	for errors.Is(err, syscall.EINTR) {
		_, err = syscall.Kevent(p.queue, change[:], nil, nil)
	}
	return os.NewSyscallError("kevent", err)
}

// wait returns sockets on which something has come, valid until the next call. A socket can have been removed meanwhile,
// and its number be another one's. The error is that of close.
func (p *poller) wait() ([]int, error) {
	p.ready = p.ready[:0]
	n, err := syscall.Kevent(p.queue, nil, p.events[:], nil)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return nil, os.NewSyscallError("kevent", err)
	}
	for _, e := range p.events[:max(n, 0)] {
		s := int(e.Ident) //nolint:gosec // a descriptor
		if s == p.end[0] {
			p.release()
			return nil, net.ErrClosed
		}
		p.ready = append(p.ready, s)
	}
	return p.ready, nil
}

// close ends wait. Nothing is called after it.
func (p *poller) close() { _ = syscall.Close(p.end[1]) }

// release closes what close leaves to wait.
func (p *poller) release() { _, _ = syscall.Close(p.queue), syscall.Close(p.end[0]) }
