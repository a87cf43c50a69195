package proctest

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
)

// given counts the addresses of FreeAddr.
var given atomic.Uint32

// FreeAddr returns a TCP address on which nobody listens. It takes a while until the program does, and nobody else can
// until then: on Linux the loopback address is this process's own, and no system gives one of these ports to a listener
// on port 0 of all addresses. To listen there oneself, as a trial, would not do: a process that another test forks at
// that moment holds a copy of the listener until its exec, which can be after the return.
func FreeAddr(t testing.TB) string {
	t.Helper()
	const first, ports = 10000, 20000 // below the ranges of Linux (ip(7), ip_local_port_range) and of the BSDs
	host, pid := "127.0.0.1", os.Getpid()
	if runtime.GOOS == "linux" {
		host = fmt.Sprintf("127.%d.%d.%d", 1+pid>>16&0x7f, pid>>8&0xff, pid&0xff)
	}
	for range ports {
		port := first + (uint32(pid)*64+given.Add(1))%ports
		addr := net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return addr
		}
		conn.Close()
	}
	t.Fatalf("somebody listens on all the %d ports from %d of %s", ports, first, host)
	return ""
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
