package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
)

// Lines of a little-endian machine.
const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20001 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0200007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 20002 1 0000000000000000 20 4 30 10 -1
   2: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:C351 06 00000000:00000000 03:00000F9D 00000000     0        0 0 3 0000000000000000
   3: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000300007F:C351 08 00000000:00000000 03:00000F9D 00000000     0        0 0 3 0000000000000000
   4: 000080FE000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 20003 1 0000000000000000 100 0 0 10 0
`

func TestParseTCP(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the table is a little-endian machine's")
	}
	at := netip.MustParseAddrPort
	want := []tcpSocket{
		{at("127.0.0.1:8080"), at("0.0.0.0:0"), tcpListen, 20001},
		{at("127.0.0.1:8080"), at("127.0.0.2:50000"), 1, 20002},
		{at("127.0.0.1:8080"), at("127.0.0.3:50001"), 8, 0},
		{at("[fe80::1]:8080"), at("[::]:0"), tcpListen, 20003},
	}
	got, err := parseTCP(strings.NewReader(tcpTable))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v, not %v", got, err, want)
	}
}

func TestParseTCPOfSomethingElse(t *testing.T) {
	t.Parallel()
	line := strings.Split(tcpTable, "\n")[1]
	for _, bad := range []string{
		"0: 0100007F:1F90",
		strings.Replace(line, "0100007F:1F90", "0100007:1F90", 1),
		strings.Replace(line, "0100007F:1F90", "01007F:1F90", 1),
		strings.Replace(line, "0100007F:1F90", "0100007F", 1),
		strings.Replace(line, "20001", "-1", 1),
		strings.Replace(line, " 0A ", " XX ", 1),
	} {
		if got, err := parseTCP(strings.NewReader("heading\n" + bad + "\n")); err == nil {
			t.Errorf("%q is %v", bad, got)
		}
	}
}

// TestOwnSockets finds this process's own ends of a connection, in both families.
func TestOwnSockets(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"127.0.0.1:0", "[::]:0"} {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			t.Skipf("no %s: %v", addr, err)
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		client, server := endOf(c.LocalAddr()), endOf(c.RemoteAddr())
		if inode, err := serverEnd(client, server); inode != 0 || err != nil {
			t.Errorf("not accepted, and inode %d has it: %v", inode, err)
		}
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		inode, err := serverEnd(client, server)
		if err != nil || inode == 0 || !inodes(os.Getpid())[inode] {
			t.Errorf("accepted, and inode %d has it: %v", inode, err)
		}
		clients, err := clientsOf(os.Getpid())
		if err != nil || !clients[client] {
			t.Errorf("%v is not among %v: %v", client, clients, err)
		}
	}
}
