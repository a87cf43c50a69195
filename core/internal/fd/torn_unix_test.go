//go:build unix

package fd

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
)

// TestWrite_OfAPartIsTheLast interrupts the writing of a message. The peer finds the end in the middle of it, and
// nothing that could be taken for the rest.
func TestWrite_OfAPartIsTheLast(t *testing.T) {
	t.Parallel()
	long := make([]byte, 8<<20) // more than a socket takes
	for name, write := range map[string]func(c *net.UnixConn, b []byte) error{
		"with a descriptor": func(c *net.UnixConn, b []byte) error { return Send(c, b, []int{int(os.Stdin.Fd())}) },
		"without one":       func(c *net.UnixConn, b []byte) error { return Write(c, b) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ours, theirs := control(t)
			must.Do(t, ours.SetWriteDeadline(time.Unix(1, 0)))
			if err := write(ours, long); !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrTorn) {
				t.Errorf("a write of nothing: %v", err)
			}
			must.Do(t, ours.SetWriteDeadline(time.Time{}))
			wrote := make(chan error)
			go func() { wrote <- write(ours, long) }()
			in := NewReceiver(theirs)
			must.Get(io.ReadFull(in, make([]byte, 1)))(t)
			for _, s := range in.Take() {
				must.Do(t, Close(s))
			}
			must.Do(t, ours.SetWriteDeadline(time.Unix(1, 0)))
			if err := <-wrote; !errors.Is(err, ErrTorn) || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a write of a part: %v", err)
			}
			if err := write(ours, []byte("next")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("the next write: %v", err)
			}
			if n, err := io.Copy(io.Discard, theirs); n >= int64(len(long)) || err != nil {
				t.Errorf("the peer reads %d bytes to the end, %v", n, err)
			}
		})
	}
}

// TestPeerClosed: the end is seen before what was said is read, where the system tells.
func TestPeerClosed(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	rc := must.Get(theirs.SyscallConn())(t)
	if PeerClosed(rc) {
		t.Error("it is open")
	}
	must.Get(ours.Write([]byte("half a fra")))(t)
	if PeerClosed(rc) {
		t.Error("it is open, and has said something")
	}
	must.Do(t, ours.CloseWrite())
	if Ended(rc) || PeerClosed(rc) != (runtime.GOOS == "linux") {
		t.Errorf("it is closed: %v", PeerClosed(rc))
	}
	must.Get(io.ReadFull(theirs, make([]byte, 10)))(t)
	if !PeerClosed(rc) {
		t.Error("it is closed, and all was read")
	}
}
