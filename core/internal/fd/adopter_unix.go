//go:build unix

package fd

import (
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// Adopter makes connections of descriptors that another process has sent. net.FileConn needs an os.File, and one of a
// socket is registered with the poller and taken out again, for nothing. So there is one file for all, of something
// else, whose descriptor becomes each socket in turn. An Adopter is one goroutine's.
type Adopter struct {
	file *os.File // nil: each socket gets one of its own
	s    int      // the file's descriptor
}

// NewAdopter makes an Adopter.
func NewAdopter() *Adopter {
	s, err := syscall.Open(os.DevNull, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &Adopter{}
	}
	return &Adopter{os.NewFile(uintptr(s), os.DevNull), s}
}

// Close closes what the Adopter has of its own: until then that is a second descriptor of the connection that it has
// made last.
func (a *Adopter) Close() {
	if a.file != nil {
		_ = a.file.Close()
	}
}

// Adopt makes a connection of s, and closes s. The socket keeps its options: net.FileConn sets some of them to Go's
// defaults.
func (a *Adopter) Adopt(s int) (net.Conn, error) {
	var was [maxOptions]int
	usual := true
	for i, o := range options {
		v, err := syscall.GetsockoptInt(s, o.level, o.name)
		if err != nil {
			v = -1 // a unix socket has no TCP options
		}
		was[i] = v
		usual = usual && v == o.usual
	}
	c, err := a.conn(s)
	if err != nil || usual && usualStay.Load() {
		return c, err
	}
	if restore(c, was) == 0 && usual {
		usualStay.Store(true)
	}
	return c, nil
}

// Adopt is an Adopter's, for one connection.
func Adopt(s int) (net.Conn, error) {
	a := NewAdopter()
	defer a.Close()
	return a.Adopt(s)
}

// AdoptCopy is Adopt of a duplicate: s stays open and the caller's.
func AdoptCopy(s int) (net.Conn, error) {
	dup, err := DupOf(s)
	if err != nil {
		return nil, err
	}
	return Adopt(dup)
}

// usualStay is set when net.FileConn was seen to leave a socket as it was that has the usual options. A version of Go with
// other defaults changes them, and each socket is looked at then.
var usualStay atomic.Bool

// restore gives a socket the options back that it had, and returns how many that are.
func restore(c net.Conn, was [maxOptions]int) (changed int) {
	changed = -1
	rc, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return changed
	}
	_ = rc.Control(func(s uintptr) {
		changed = 0
		for i, o := range options {
			if now, err := syscall.GetsockoptInt(int(s), o.level, o.name); err == nil && was[i] >= 0 && now != was[i] {
				_ = syscall.SetsockoptInt(int(s), o.level, o.name, was[i])
				changed++
			}
		}
	})
	return changed
}

// conn is Conn, by the one file if there is one.
func (a *Adopter) conn(s int) (net.Conn, error) {
	if a.file == nil || become(a.s, s) != nil {
		return Conn(s)
	}
	_ = syscall.Close(s)
	return net.FileConn(a.file)
}

// option is an integer socket option, and what net.FileConn sets it to.
type option struct{ level, name, usual int }

// maxOptions is how many options there are at most.
const maxOptions = 5

// options are those that net.FileConn sets.
var options = append([]option{
	{syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1},
	{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
}, keepAliveOptions...)
