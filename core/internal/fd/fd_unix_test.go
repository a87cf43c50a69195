//go:build unix

package fd

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	rc, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	dup, err := Dup(rc)
	if err != nil {
		t.Fatal(err)
	}
	defer Close(dup)
	if err := CheckListener(dup); err != nil {
		t.Fatal(err)
	}
	second, err := Listener(dup)
	if err != nil {
		t.Fatal(err)
	}
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
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	conn, end, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	defer Close(end)
	udp, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
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
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := Write(end, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	other, err := Conn(end)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	b := make([]byte, 8)
	if n, err := conn.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Fatalf("Read = %q, %v", b[:n], err)
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	rc, err := server.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if Pending(rc) {
		t.Error("an idle connection counts as pending")
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	// Read waits until the byte has arrived; a second byte then is in the same queue.
	if _, err := server.Read(b); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("yz")); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(b); err != nil {
		t.Fatal(err)
	}
	if !Pending(rc) {
		t.Error("an unread byte does not count as pending")
	}
}
