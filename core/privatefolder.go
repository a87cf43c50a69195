//go:build unix

package core

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// listenInFolder opens a unix socket in a new directory beside its path, which no other user can enter, and moves it
// into place when its mode is right. The listener's Addr goes on to say where it was bound. It is for systems on which
// a socket has no mode before it is bound. The caller has the lock, so that nobody else on gracex takes the path
// meanwhile.
func listenInFolder(path string) (net.Listener, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, &net.OpError{
			Op: "listen", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"},
			Err: os.NewSyscallError("bind", syscall.EADDRINUSE),
		}
	}
	folder, err := os.MkdirTemp(filepath.Dir(path), ".gx") // with mode 0700
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	private := filepath.Join(folder, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: private, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err = os.Chmod(private, socketMode); err == nil {
		err = os.Rename(private, path)
	}
	if err != nil {
		_ = ln.Close()
		return nil, err
	}
	return ln, nil
}
