package proctest

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
)

// given are the addresses of FreeAddr.
var given sync.Map

// FreeAddr returns a TCP address on which nobody listens. It takes a while until the program does; on Linux
// nobody else can, because the loopback address is this process's own. Elsewhere there is only one.
func FreeAddr(t testing.TB) string {
	t.Helper()
	host := "127.0.0.1"
	if pid := os.Getpid(); runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x7f, pid>>8&0xff, pid&0xff)
	}
	for {
		ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().String()
		ln.Close()
		if _, taken := given.LoadOrStore(addr, true); !taken {
			return addr
		}
	}
}

// Occupied returns a TCP address on which the test listens.
func Occupied(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}
