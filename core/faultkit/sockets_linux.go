package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/sockdiag"
)

// The states of sockets in /proc/net/tcp that are no connections of a process (include/net/tcp_states.h). Tens of
// thousands may be in TIME_WAIT; no other column has two digits.
const (
	tcpListen   = "0A"
	tcpTimeWait = " 06 "
	emptyQueue  = "00000000"
)

// tcpConn is a line of /proc/net/tcp, see proc_net_tcp.txt of the kernel: a connection that a process has.
type tcpConn struct {
	local, remote, inode string
	acked                bool // the other end has all that was sent
	read                 bool // nothing is in the receive queue
}

// tcpConns reads both families' tables.
func tcpConns() (all []tcpConn, err error) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a system without IPv6
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, tcpTimeWait) {
				continue
			}
			f := strings.Fields(line) // sl local_address rem_address st queues tr:when retrnsmt uid timeout inode
			if len(f) < 10 {
				return nil, fmt.Errorf("%s: %q", name, line)
			}
			if f[3] != tcpListen && f[9] != "0" { // accepted, and not closed
				// An IPv4 client of a socket for both families is in the table of IPv6.
				sent, received, _ := strings.Cut(f[4], ":")
				all = append(all, tcpConn{
					strings.TrimPrefix(f[1], mapped), strings.TrimPrefix(f[2], mapped), f[9], sent == emptyQueue, received == emptyQueue,
				})
			}
		}
	}
	return all, nil
}

// mapped is what an IPv4 address begins with in the table of IPv6.
var mapped = words(net.IPv4(0, 0, 0, 0)[:12])

// words writes an address as the tables do: words of 32 bits, each a number in the machine's byte order.
func words(ip net.IP) (s string) {
	for ; len(ip) > 0; ip = ip[4:] {
		s += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(ip))
	}
	return s
}

// endOf is the address of one end of a TCP connection, as in the tables; empty for another one.
func endOf(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%04X", strings.TrimPrefix(words(t.IP.To16()), mapped), t.Port)
}

// inodes lists the sockets that a process has.
func inodes(pid int) map[string]bool {
	found := map[string]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(dir) // none if it is gone
	for _, f := range files {
		target, _ := os.Readlink(filepath.Join(dir, f.Name()))
		if rest, ok := strings.CutPrefix(target, "socket:["); ok {
			found[strings.TrimSuffix(rest, "]")] = true
		}
	}
	return found
}

// clientsOf lists the clients' ends of the connections that a process has.
func clientsOf(pid int) (map[string]bool, error) {
	all, err := tcpConns()
	own, clients := inodes(pid), map[string]bool{}
	for _, c := range all {
		if own[c.inode] {
			clients[c.remote] = true
		}
	}
	return clients, err
}

// ends looks at a connection of this machine with itself: whether all that the client has sent has arrived, and the
// server's end, which has no inode if nobody has accepted the connection yet.
func ends(client, server net.Addr) (arrived bool, end tcpConn, err error) {
	c, s := addrPort(client), addrPort(server)
	from, err := sockdiag.LookUp(c, s)
	var to sockdiag.TCP
	if err == nil {
		to, err = sockdiag.LookUp(s, c)
	}
	if err != nil {
		return endsInTables(client, server)
	}
	if to.Inode != 0 {
		end = tcpConn{inode: strconv.Itoa(int(to.Inode)), acked: to.Acked, read: to.IsRead}
	}
	return from.Acked, end, nil
}

// addrPort is the address of one end of a TCP connection, invalid for another one.
func addrPort(a net.Addr) (at netip.AddrPort) {
	if t, ok := a.(*net.TCPAddr); ok {
		at = t.AddrPort()
	}
	return at
}

// endsInTables is for a kernel without sock_diag. The tables have all sockets of the machine, and a look takes 50 ms
// when there are tens of thousands.
func endsInTables(client, server net.Addr) (arrived bool, end tcpConn, err error) {
	all, err := tcpConns()
	for _, c := range all {
		switch {
		case c.remote == endOf(client) && c.local == endOf(server):
			end = c
		case c.remote == endOf(server) && c.local == endOf(client):
			arrived = c.acked
		}
	}
	return arrived, end, err
}
