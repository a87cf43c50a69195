package main

import (
	"net"
	"os"
	"testing"
)

// TestOwnSockets finds this process's own ends of a connection, in both families, and from the one to the other.
func TestOwnSockets(t *testing.T) {
	t.Parallel()
	look := map[string]func(client, server net.Addr) (bool, tcpConn, error){"ends": ends, "in tables": endsInTables}
	for name, ends := range look {
		t.Run(name, func(t *testing.T) { ownSockets(t, ends) })
	}
}

func ownSockets(t *testing.T, ends func(client, server net.Addr) (bool, tcpConn, error)) {
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
		if _, end, err := ends(client, server); end.inode != "" || err != nil {
			t.Errorf("not accepted, and inode %s has it: %v", end.inode, err)
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
		if err != nil || !inodes(os.Getpid())[end.inode] || end.read {
			t.Errorf("accepted, and not read from: %+v, %v", end, err)
		}
		if _, err := accepted.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if arrived, end, err := ends(client, server); err != nil || !arrived || !end.read {
			t.Errorf("read from: %t, %+v, %v", arrived, end, err)
		}
		clients, err := clientsOf(os.Getpid())
		if err != nil || !clients[endOf(client)] {
			t.Errorf("%v is not among %v: %v", client, clients, err)
		}
	}
}
