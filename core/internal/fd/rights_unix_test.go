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

	"github.com/gracex-go/gracex/internal/must"
)

func control(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	a, end, err := Pair()
	must.Do(t, err)
	b := must.Get(Conn(end))(t)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a.(*net.UnixConn), b.(*net.UnixConn)
}

// TestSend: as many descriptors as a message may carry arrive with its first byte,
// close-on-exec, and each message's are its own.
func TestSend(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	r, w, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	files := make([]int, MaxFiles)
	for i := range files {
		files[i] = int(w.Fd())
	}
	must.Do(t, Send(ours, []byte("all"), files))
	must.Do(t, Send(ours, []byte("one"), files[:1]))
	w.Close()
	in := NewReceiver(theirs)
	for i, want := range []int{MaxFiles, 0, 0, 1, 0, 0} {
		must.Get(io.ReadFull(in, make([]byte, 1)))(t)
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
	must.Get(ours.Write([]byte("never read")))(t)
	theirs.Close()
	if n, err := NewReceiver(ours).Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestAwait: it returns for bytes, which stay, for the end and at the deadline; AwaitEnd not for bytes.
func TestAwait(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	rc := must.Get(theirs.SyscallConn())(t)
	past := time.Unix(1, 0)
	must.Do(t, theirs.SetReadDeadline(past))
	if _, err := Await(rc); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Await = %v", err)
	}
	must.Do(t, theirs.SetReadDeadline(time.Time{}))
	go ours.Write([]byte("xy"))
	for range 2 {
		if n, err := Await(rc); n != 1 || err != nil {
			t.Errorf("Await = %d, %v", n, err)
		}
	}
	ended := make(chan error)
	go func() { ended <- AwaitEnd(rc) }()
	must.Do(t, theirs.SetReadDeadline(past))
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("AwaitEnd = %v, with bytes there", err)
	}
	must.Do(t, theirs.SetReadDeadline(time.Time{}))
	must.Get(io.ReadFull(theirs, make([]byte, 2)))(t)
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
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	c := must.Get(net.Dial("tcp", ln.Addr().String()))(t)
	defer c.Close()
	tcp := c.(*net.TCPConn)
	must.Do(t, tcp.SetNoDelay(false))
	must.Do(t, tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 99 * time.Second}))
	rc := must.Get(tcp.SyscallConn())(t)
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
	s := must.Get(Dup(rc))(t)
	adopted := must.Get(Adopt(s))(t)
	defer adopted.Close()
	if after := values(); !slices.Equal(before, after) {
		t.Errorf("options %v, before %v", after, before)
	}
}

// TestAdopter_OneFileForAll: each connection is its own, keeps its options, and ends by its own close.
func TestAdopter_OneFileForAll(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	a := NewAdopter()
	var clients, adopted []net.Conn
	for _, noDelay := range []bool{true, true, false, true} { // the usual one, twice, and another one
		c := must.Get(net.Dial("tcp", ln.Addr().String()))(t)
		defer c.Close()
		sent := must.Get(ln.Accept())(t)
		must.Do(t, sent.(*net.TCPConn).SetNoDelay(noDelay))
		s := must.Get(Dup(must.Get(sent.(*net.TCPConn).SyscallConn())(t)))(t)
		must.Do(t, sent.Close())
		nc := must.Get(a.Adopt(s))(t)
		_ = must.Get(nc.(*net.TCPConn).SyscallConn())(t).Control(func(s uintptr) {
			if n := must.Get(syscall.GetsockoptInt(int(s), syscall.IPPROTO_TCP, syscall.TCP_NODELAY))(t); (n != 0) != noDelay {
				t.Errorf("TCP_NODELAY is %d", n)
			}
		})
		clients, adopted = append(clients, c), append(adopted, nc)
	}
	if !usualStay.Load() {
		t.Error("what net.FileConn does to a usual socket was not learned")
	}
	a.Close()
	for i, nc := range adopted {
		must.Get(nc.Write([]byte{byte(i)}))(t)
		must.Do(t, nc.Close())
		if b := must.Get(io.ReadAll(clients[i]))(t); len(b) != 1 || b[0] != byte(i) {
			t.Errorf("client %d reads %v", i, b)
		}
	}
}

// TestReceiver_EndIsEOF: a frame that breaks off is told from one that has not come.
func TestReceiver_EndIsEOF(t *testing.T) {
	t.Parallel()
	ours, theirs := control(t)
	must.Get(ours.Write([]byte("ha")))(t)
	must.Do(t, ours.Close())
	in := NewReceiver(theirs)
	if n, err := io.ReadFull(in, make([]byte, 4)); n != 2 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := in.Read(make([]byte, 4)); n != 0 || err != io.EOF { //nolint:errorlint // io.ReadFull compares so
		t.Errorf("%d bytes, %v", n, err)
	}
}
