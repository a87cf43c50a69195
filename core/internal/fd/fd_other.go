//go:build !unix

package fd

import (
	"net"
	"os"
	"syscall"
)

// Dup is not supported here.
func Dup(syscall.RawConn) (int, error) { return -1, ErrUnsupported }

// DupOf is not supported here.
func DupOf(int) (int, error) { return -1, ErrUnsupported }

// Close is not supported here.
func Close(int) error { return ErrUnsupported }

// CloseOnExec does nothing here.
func CloseOnExec(int) {}

// SetNonblock is not supported here.
func SetNonblock(int) error { return ErrUnsupported }

// CheckListener is not supported here.
func CheckListener(int) error { return ErrUnsupported }

// CheckPacket is not supported here.
func CheckPacket(int) error { return ErrUnsupported }

// IPv6Only can't tell here.
func IPv6Only(int) bool { return false }

// CheckSocket is not supported here.
func CheckSocket(int) error { return ErrUnsupported }

// CheckStream is not supported here.
func CheckStream(int) error { return ErrUnsupported }

// Listener is not supported here.
func Listener(int) (net.Listener, error) { return nil, ErrUnsupported }

// PacketConn is not supported here.
func PacketConn(int) (net.PacketConn, error) { return nil, ErrUnsupported }

// Conn is not supported here.
func Conn(int) (net.Conn, error) { return nil, ErrUnsupported }

// Pair is not supported here.
func Pair() (net.Conn, int, error) { return nil, -1, ErrUnsupported }

// Peek is not supported here.
func Peek(int, int) []byte { return nil }

// Pending can't tell here: nothing is pending.
func Pending(syscall.RawConn) bool { return false }

// Pipe is not supported here.
func Pipe() (*os.File, int, error) { return nil, -1, ErrUnsupported }

// PipeID is not supported here.
func PipeID(int) (uint64, error) { return 0, ErrUnsupported }

// CheckOpen is not supported here.
func CheckOpen(int) error { return ErrUnsupported }

// CheckOutput is not supported here.
func CheckOutput(int) error { return ErrUnsupported }

// WriteAll is not supported here.
func WriteAll(int, []byte) error { return ErrUnsupported }

// Replace is not supported here.
func Replace(int, int) error { return ErrUnsupported }
