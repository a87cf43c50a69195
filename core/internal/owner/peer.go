package owner

import (
	"net"
	"syscall"
)

// Peer returns the user of the process at the other end of a unix socket. For a client that is the user who called
// listen(2), also if the listening socket was handed on since. known is false where the system does not tell.
func Peer(c net.Conn) (uid int, known bool, err error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false, nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	cerr := rc.Control(func(s uintptr) { uid, known, err = peerOf(s) })
	if cerr != nil {
		err = cerr
	}
	return uid, known && err == nil, err
}
