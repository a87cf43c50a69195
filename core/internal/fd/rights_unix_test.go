//go:build unix

package fd

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func control(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	a, end, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := Conn(end)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.UnixConn), b.(*net.UnixConn)
}

// TestSend: as many descriptors as a message may carry arrive with its first byte,
// close-on-exec, and each message's are its own.
func TestSend(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := make([]int, MaxFiles)
	for i := range files {
		files[i] = int(w.Fd())
	}
	if err := Send(ours, []byte("all"), files); err != nil {
		t.Fatal(err)
	}
	if err := Send(ours, []byte("one"), files[:1]); err != nil {
		t.Fatal(err)
	}
	w.Close()
	in := NewReceiver(theirs)
	for i, want := range []int{MaxFiles, 0, 0, 1, 0, 0} {
		if _, err := io.ReadFull(in, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		got := in.Take()
		if len(got) != want {
			t.Errorf("%d descriptors with byte %d, want %d", len(got), i, want)
		}
		for _, s := range got {
			flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(s), syscall.F_GETFD, 0)
			if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
				t.Fatalf("flags %x, %v", flags, errno)
			}
			if err := Close(s); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a descriptor is left: %v", err)
	}
}

// TestReceiverAfterReset: a read that has failed has no bytes, and not fewer than none.
func TestReceiverAfterReset(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	if _, err := ours.Write([]byte("never read")); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if n, err := NewReceiver(ours).Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestAwait: it returns for bytes, which stay, for the end and at the deadline;
// AwaitEnd not for bytes.
func TestAwait(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	rc, err := theirs.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	past := time.Unix(1, 0)
	if err := theirs.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	if _, err := Await(rc); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Await = %v", err)
	}
	if err := theirs.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go ours.Write([]byte("xy"))
	for range 2 {
		if n, err := Await(rc); n != 1 || err != nil {
			t.Errorf("Await = %d, %v", n, err)
		}
	}
	ended := make(chan error)
	go func() { ended <- AwaitEnd(rc) }()
	if err := theirs.SetReadDeadline(past); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("AwaitEnd = %v, with bytes there", err)
	}
	if err := theirs.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(theirs, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- AwaitEnd(rc) }()
	ours.Close()
	if err := <-ended; err != nil {
		t.Errorf("AwaitEnd = %v", err)
	}
	if n, err := Await(rc); n != 0 || err != nil {
		t.Errorf("Await at the end = %d, %v", n, err)
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	if free, limit, ok := Free(); free < 10 || free >= limit || !ok {
		t.Errorf("Free = %d, %d, %v", free, limit, ok)
	}
}

// TestAdoptKeepsOptions: what the program has set on its socket stays.
func TestAdoptKeepsOptions(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tcp := c.(*net.TCPConn)
	if err := errors.Join(tcp.SetNoDelay(false), tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 99 * time.Second})); err != nil {
		t.Fatal(err)
	}
	rc, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	values := func() (v []int) {
		_ = rc.Control(func(s uintptr) {
			for _, o := range options {
				n, err := syscall.GetsockoptInt(int(s), o.level, o.name)
				if err != nil {
					t.Error(err)
				}
				v = append(v, n)
			}
		})
		return v
	}
	before := values()
	s, err := Dup(rc)
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := Adopt(s)
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	if after := values(); !slices.Equal(before, after) {
		t.Errorf("options %v, before %v", after, before)
	}
}
