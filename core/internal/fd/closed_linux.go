package fd

import (
	"errors"
	"syscall"
)

// PeerClosed reports whether the peer of a unix socket has closed it, or writes no more. Unlike Ended it says so while
// something is left to read, such as a part of a message.
func PeerClosed(rc syscall.RawConn) bool {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return Ended(rc)
	}
	defer syscall.Close(epoll)
	closed := false
	err = rc.Control(func(s uintptr) {
		event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP}
		if syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(s), &event) != nil {
			return // it is looked for once more when all is read
		}
		var events [1]syscall.EpollEvent
		n, werr := syscall.EpollWait(epoll, events[:], 0)
		for errors.Is(werr, syscall.EINTR) {
			n, werr = syscall.EpollWait(epoll, events[:], 0)
		}
		closed = n > 0
	})
	return closed || err != nil
}
