//go:build !unix

package fd

import (
	"net"
	"syscall"
)

// MaxFiles is how many descriptors one message may carry.
const MaxFiles = 0

// Send is not supported here.
func Send(*net.UnixConn, []byte, []int) error { return ErrUnsupported }

// Receiver reads from a unix socket; no descriptors come along here.
type Receiver struct{ *net.UnixConn }

// NewReceiver makes the Receiver of c.
func NewReceiver(c *net.UnixConn) *Receiver { return &Receiver{c} }

// Take returns nothing here.
func (r *Receiver) Take() []int { return nil }

// Speaker is not known here.
func (r *Receiver) Speaker() (by Speaker, one bool) { return Speaker{}, true }

// AskSpeaker is not supported here.
func AskSpeaker(int) error { return ErrUnsupported }

// Maker is not known here.
func Maker(int) (Speaker, error) { return Speaker{}, ErrUnsupported }

// Adopter is not supported here.
type Adopter struct{}

// NewAdopter makes one that adopts nothing.
func NewAdopter() *Adopter { return &Adopter{} }

// Adopt is not supported here.
func (*Adopter) Adopt(int) (net.Conn, error) { return nil, ErrUnsupported }

// Close does nothing here.
func (*Adopter) Close() {}

// Adopt is not supported here.
func Adopt(int) (net.Conn, error) { return nil, ErrUnsupported }

// AdoptCopy is not supported here.
func AdoptCopy(int) (net.Conn, error) { return nil, ErrUnsupported }

// Await is not supported here.
func Await(syscall.RawConn) (int, error) { return 0, ErrUnsupported }

// AwaitEnd is not supported here.
func AwaitEnd(syscall.RawConn) error { return ErrUnsupported }

// Ended can't tell here.
func Ended(syscall.RawConn) bool { return false }

// Arrived can't tell here.
func Arrived(int) (bytes, ended bool) { return false, false }

// LocalTCP is not known here.
func LocalTCP(int) net.Addr { return nil }

// Free is not known here.
func Free() (free, limit int, ok bool) { return 0, 0, false }
