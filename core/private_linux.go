package core

import (
	"context"
	"net"
	"syscall"
)

// listenPrivately opens a unix socket whose file has mode 0600 from the first moment on, whatever the umask is: on
// Linux the file gets the mode that the socket has when it is bound.
func listenPrivately(path string) (net.Listener, error) {
	return openWith(context.Background(), net.ListenConfig{Control: ownMode}, "unix", path)
}

func ownMode(_, _ string, rc syscall.RawConn) error {
	var err error
	if cerr := rc.Control(func(s uintptr) { err = syscall.Fchmod(int(s), socketMode) }); cerr != nil {
		return cerr
	}
	return err
}
