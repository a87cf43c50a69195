package fd

import (
	"os"
	"syscall"
)

const (
	soReusePort     = 15 // SO_REUSEPORT, which package syscall does not name on all processors (socket(7))
	soBindToIfindex = 62 // SO_BINDTOIFINDEX (include/uapi/asm-generic/socket.h)
)

// ReusePort says whether sockets of this user may be bound to an address that is in the way of the one
// of s, which has to say so as well. The kernel looks at it when a socket is bound and begins to listen,
// also at that of sockets which listen already.
func ReusePort(s int, on bool) error {
	v := 0
	if on {
		v = 1
	}
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(s, syscall.SOL_SOCKET, soReusePort, v))
}

// noInterface is an index that no network interface has: they are counted from 1 (netdevice(7)).
const noInterface = 1<<31 - 1

// PassOver makes the listening socket s take no new connections, in all processes that have it and for
// good. They go to another socket that listens on the address, if there is one. What is queued can still be
// accepted, and connections whose handshake has begun are still queued. It binds s to an interface from
// which no packet comes. A kernel before 5.1 can't do that.
func PassOver(s int) error {
	return os.NewSyscallError("setsockopt", syscall.SetsockoptInt(s, syscall.SOL_SOCKET, soBindToIfindex, noInterface))
}
