package core

import (
	"net"
	"syscall"
)

// peerUID returns the user of the process at the other end of a unix socket: see
// SO_PEERCRED in unix(7).
func peerUID(c net.Conn) (uid int, known bool, err error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false, nil
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var cred *syscall.Ucred
	cerr := rc.Control(func(s uintptr) {
		cred, err = syscall.GetsockoptUcred(int(s), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if cerr != nil {
		err = cerr
	}
	if err != nil {
		return 0, false, err
	}
	return int(cred.Uid), true, nil
}

// ownMode has the socket's file made with mode 0600, whatever the umask is: on Linux
// the file gets the mode that the socket has when it is bound.
func ownMode(_, _ string, rc syscall.RawConn) error {
	var err error
	if cerr := rc.Control(func(s uintptr) { err = syscall.Fchmod(int(s), socketMode) }); cerr != nil {
		return cerr
	}
	return err
}
