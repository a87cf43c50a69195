//go:build unix

package fd

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Dup returns a duplicate of the descriptor behind rc, with close-on-exec set.
func Dup(rc syscall.RawConn) (int, error) {
	dup, derr := -1, error(nil)
	err := rc.Control(func(s uintptr) { dup, derr = DupOf(int(s)) })
	if err == nil {
		err = derr
	}
	return dup, err
}

// DupOf returns a duplicate of s, with close-on-exec set.
func DupOf(s int) (int, error) {
	// The lock keeps a concurrent fork from inheriting the duplicate.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	dup, err := syscall.Dup(s)
	if err != nil {
		return -1, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(dup)
	return dup, nil
}

// Close closes a descriptor that this process owns.
func Close(s int) error { return os.NewSyscallError("close", syscall.Close(s)) }

// CloseOnExec keeps s from every program that this process starts.
func CloseOnExec(s int) { syscall.CloseOnExec(s) }

// KeepOnExec is the opposite of CloseOnExec.
func KeepOnExec(s int) {
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), syscall.F_SETFD, 0)
}

// SetNonblock sets O_NONBLOCK again after another process had the open file.
func SetNonblock(s int) error { return os.NewSyscallError("fcntl", syscall.SetNonblock(s, true)) }

// CheckListener returns nil if s is a listening stream socket, else an error that says what it is.
func CheckListener(s int) error {
	if err := checkType(s, syscall.SOCK_STREAM, "stream"); err != nil {
		return err
	}
	if on, err := syscall.GetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
		return fmt.Errorf("descriptor %d is a socket that does not listen", s)
	}
	return nil
}

// CheckPacket returns nil if s is a datagram socket, else an error that says what it is.
func CheckPacket(s int) error { return checkType(s, syscall.SOCK_DGRAM, "datagram") }

// CheckStream returns nil if s is a stream socket that does not listen: what the handover socket must be.
func CheckStream(s int) error {
	if err := checkType(s, syscall.SOCK_STREAM, "stream"); err != nil {
		return err
	}
	if CheckListener(s) == nil {
		return fmt.Errorf("descriptor %d is a listener", s)
	}
	return nil
}

// checkType returns nil if s is a socket of the type that is called name.
func checkType(s, typ int, name string) error {
	if err := CheckSocket(s); err != nil {
		return err
	}
	if got, err := syscall.GetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || got != typ {
		return fmt.Errorf("descriptor %d is a socket, but not a %s socket", s, name)
	}
	return nil
}

// IPv6Only reports whether s is an IPv6 socket that has nothing to do with IPv4.
func IPv6Only(s int) bool {
	only, err := syscall.GetsockoptInt(s, syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY)
	return err == nil && only != 0
}

// CheckSocket returns nil if s is a socket, else an error that says what it is. A
// descriptor that is none may be the Go runtime's own.
func CheckSocket(s int) error {
	what, ok := describe(s)
	if !ok {
		return fmt.Errorf("descriptor %d is %s", s, what)
	}
	return nil
}

// describe names what s is, and whether it is a socket.
func describe(s int) (what string, socket bool) {
	var st syscall.Stat_t
	if err := syscall.Fstat(s, &st); err != nil {
		return "not open", false
	}
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFSOCK:
		return "a socket", true
	case syscall.S_IFIFO:
		return "a pipe", false
	case syscall.S_IFREG:
		return "a file", false
	case syscall.S_IFDIR:
		return "a directory", false
	case syscall.S_IFCHR:
		return "a terminal or device", false
	}
	return "not a socket", false
}

// Listener makes a net.Listener of the listening socket s, which stays open and the caller's.
func Listener(s int) (net.Listener, error) {
	f, err := dupFile(s)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

// dupFile makes a file of a duplicate of s.
func dupFile(s int) (*os.File, error) {
	dup, err := DupOf(s)
	if err != nil {
		return nil, err
	}
	// os.NewFile leaves a non-blocking descriptor so; a blocking one must be
	// made non-blocking here, because Fd would set it back.
	if err := SetNonblock(dup); err != nil {
		_ = syscall.Close(dup)
		return nil, err
	}
	return os.NewFile(uintptr(dup), "socket"), nil
}

// PacketConn makes a net.PacketConn of the datagram socket s, which stays open and the caller's.
func PacketConn(s int) (net.PacketConn, error) {
	f, err := dupFile(s)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FilePacketConn(f)
}

// Conn makes a connection of the stream socket s and closes s.
func Conn(s int) (net.Conn, error) {
	f := os.NewFile(uintptr(s), "socket")
	defer f.Close()
	return net.FileConn(f)
}

// pairBuffer is how much one end may write before the other one reads, in bytes.
const pairBuffer = 256 << 10

// Pair makes a connected pair of stream sockets: this process's end and the
// descriptor of the end for another one.
func Pair() (net.Conn, int, error) {
	syscall.ForkLock.RLock()
	p, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(p[0])
		syscall.CloseOnExec(p[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, -1, os.NewSyscallError("socketpair", err)
	}
	for _, s := range p {
		// Room for a Welcome with many listeners before anybody reads it; some
		// systems give 8 KiB. As much as the system allows will do.
		_ = syscall.SetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_SNDBUF, pairBuffer)
		_ = AskSpeaker(s) // whoever reads finds that nobody is named
	}
	c, err := Conn(p[0])
	if err != nil {
		_ = syscall.Close(p[1])
		return nil, -1, err
	}
	return c, p[1], nil
}

// Peek returns what waits on the socket s, at most n bytes, and leaves it there.
func Peek(s, n int) []byte {
	b := make([]byte, n)
	n, _, err := syscall.Recvfrom(s, b, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	if err != nil || n < 0 {
		return nil
	}
	return b[:n]
}

// Pending reports whether the kernel holds bytes for rc that nobody has read,
// or the peer has closed: a connection to leave alone when idle ones are closed.
func Pending(rc syscall.RawConn) bool {
	pending := false
	_ = rc.Control(func(s uintptr) {
		n, err := peek1(s)
		pending = n > 0 || err == nil
	})
	return pending
}
