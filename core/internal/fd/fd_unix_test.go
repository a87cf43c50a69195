//go:build unix

package fd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

func nonblocking(t *testing.T, rc syscall.RawConn) bool {
	t.Helper()
	var flags uintptr
	if err := rc.Control(func(s uintptr) {
		flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, s, syscall.F_GETFL, 0)
	}); err != nil {
		t.Fatal(err)
	}
	return flags&syscall.O_NONBLOCK != 0
}

// TestListenerKeepsNonblock guards the reason for this package: the shared open
// file stays non-blocking through a duplicate and a second listener of it.
func TestListenerKeepsNonblock(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	rc := must.Get(ln.(*net.TCPListener).SyscallConn())(t)
	dup := must.Get(Dup(rc))(t)
	defer Close(dup)
	must.Do(t, CheckListener(dup))
	second := must.Get(Listener(dup))(t)
	defer second.Close()
	if !nonblocking(t, rc) {
		t.Error("O_NONBLOCK was lost on the shared socket")
	}
	if second.Addr().String() != ln.Addr().String() {
		t.Errorf("the second listener is at %v, the first at %v", second.Addr(), ln.Addr())
	}
}

func TestCheckListenerSaysWhatItIs(t *testing.T) {
	t.Parallel()
	file := must.Get(os.Create(filepath.Join(t.TempDir(), "f")))(t)
	defer file.Close()
	r, w, err := os.Pipe()
	must.Do(t, err)
	defer r.Close()
	defer w.Close()
	conn, end, err := Pair()
	must.Do(t, err)
	defer conn.Close()
	defer Close(end)
	udp := must.Get(syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0))(t)
	defer Close(udp)
	for s, want := range map[int]string{
		int(file.Fd()): "is a file",
		int(r.Fd()):    "is a pipe",
		end:            "does not listen",
		udp:            "not a stream socket",
		1 << 20:        "is not open",
	} {
		if err := CheckListener(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckListener = %v, want one with %q", err, want)
		}
	}
	if err := CheckStream(end); err != nil {
		t.Errorf("CheckStream of a socketpair: %v", err)
	}
	if err := CheckStream(int(r.Fd())); err == nil {
		t.Error("CheckStream took a pipe")
	}
}

func TestPairConnects(t *testing.T) {
	t.Parallel()
	conn, end, err := Pair()
	must.Do(t, err)
	defer conn.Close()
	must.Do(t, WriteAll(end, []byte("hello")))
	other := must.Get(Conn(end))(t)
	defer other.Close()
	b := make([]byte, 8)
	if n, err := conn.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Fatalf("Read = %q, %v", b[:n], err)
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	ln := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer ln.Close()
	client := must.Get(net.Dial("tcp", ln.Addr().String()))(t)
	defer client.Close()
	server := must.Get(ln.Accept())(t)
	defer server.Close()
	rc := must.Get(server.(*net.TCPConn).SyscallConn())(t)
	if Pending(rc) {
		t.Error("an idle connection counts as pending")
	}
	must.Get(client.Write([]byte("x")))(t)
	b := make([]byte, 1)
	// Read waits until the byte has arrived; a second byte then is in the same queue.
	must.Get(server.Read(b))(t)
	must.Get(client.Write([]byte("yz")))(t)
	must.Get(server.Read(b))(t)
	if !Pending(rc) {
		t.Error("an unread byte does not count as pending")
	}
}
