package main

import (
	"net"
	"os"
	"testing"

	"github.com/gracex-go/gracex/core/internal/sockdiag"
)

// TestOwnSockets finds this process's own ends of a connection, in both families, and from the one to the other.
func TestOwnSockets(t *testing.T) {
	t.Parallel()
	look := map[string]func(client, server net.Addr) (bool, sockdiag.TCP, error){"ends": ends, "in tables": endsInTables}
	for name, ends := range look {
		t.Run(name, func(t *testing.T) { ownSockets(t, ends) })
	}
}

func ownSockets(t *testing.T, ends func(client, server net.Addr) (bool, sockdiag.TCP, error)) {
	for _, tt := range []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::]:0", "127.0.0.1"}, {"[::1]:0", "::1"},
	} {
		ln, err := net.Listen("tcp", tt.listen)
		if err != nil {
			t.Skipf("no %s: %v", tt.listen, err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		c, err := net.Dial("tcp", net.JoinHostPort(tt.dial, port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		client, server := c.LocalAddr(), c.RemoteAddr()
		if _, end, err := ends(client, server); end.Inode != 0 || err != nil {
			t.Errorf("not accepted, and inode %d has it: %v", end.Inode, err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		_, end, err := ends(client, server)
		if err != nil || !inodes(os.Getpid())[end.Inode] || end.IsRead {
			t.Errorf("accepted, and not read from: %+v, %v", end, err)
		}
		if _, err := accepted.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if arrived, end, err := ends(client, server); err != nil || !arrived || !end.IsRead {
			t.Errorf("read from: %t, %+v, %v", arrived, end, err)
		}
		conns, err := connsOf(os.Getpid())
		if err != nil || !conns[tcpConn{addrPort(client), addrPort(server)}] {
			t.Errorf("%v is not among %v: %v", client, conns, err)
		}
	}
}

// TestConnections: the kernel's answer and its tables have the same ends.
func TestConnections(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "[::]:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", listen)
		if err != nil {
			t.Skipf("no %s: %v", listen, err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		host := "127.0.0.1"
		if listen == "[::1]:0" {
			host = "::1"
		}
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
		for name, look := range map[string]func() ([]sockdiag.TCP, error){"kernel": sockdiag.Connections, "tables": inTables} {
			all, err := look()
			n := 0
			for _, one := range all {
				if one.Local == local && one.Remote == remote && inodes(os.Getpid())[one.Inode] {
					n++
				}
				if one.Local == remote { // nobody has accepted it
					t.Errorf("%s: %+v", name, one)
				}
			}
			if n != 1 || err != nil {
				t.Errorf("%s has %v to %v %d times: %v", name, local, remote, n, err)
			}
		}
	}
}
