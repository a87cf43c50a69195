//go:build unix

package foreign

import (
	"net"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/must"
)

// TestLook: a descriptor is made non-blocking, whatever its owner has made of it, and kept from other programs.
func TestLook(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	f := must.Get(ln.(*net.TCPListener).File())(t)
	defer f.Close()
	s, err := syscall.Dup(int(f.Fd())) // which makes it blocking
	must.Do(t, err)
	defer fd.Close(s)
	x := Socket{FD: s}
	if err := x.look(listeners); err != nil || x.Kind != wire.KindListener {
		t.Errorf("%v %v", x.Kind, err)
	}
	flags := func(cmd uintptr) uintptr {
		v, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), cmd, 0)
		if errno != 0 {
			t.Fatal(errno)
		}
		return v
	}
	if flags(syscall.F_GETFL)&syscall.O_NONBLOCK == 0 {
		t.Error("it is blocking")
	}
	if flags(syscall.F_GETFD)&syscall.FD_CLOEXEC == 0 {
		t.Error("other programs get it")
	}
}
