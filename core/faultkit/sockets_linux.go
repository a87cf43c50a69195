package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// The states of sockets in /proc/net/tcp that are no connections of a process (include/net/tcp_states.h). Tens of
// thousands may be in TIME_WAIT; no other column has two digits.
const (
	tcpListen   = "0A"
	tcpTimeWait = " 06 "
)

// tcpConn is a line of /proc/net/tcp, see proc_net_tcp.txt of the kernel: a connection that a process has.
type tcpConn struct{ local, remote, inode string }

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
				all = append(all, tcpConn{strings.TrimPrefix(f[1], mapped), strings.TrimPrefix(f[2], mapped), f[9]})
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

// serverEnd returns the inode of the other end of a connection of this machine with
// itself, and "" if nobody has accepted it yet.
func serverEnd(client, server string) (inode string, err error) {
	all, err := tcpConns()
	for _, c := range all {
		if c.remote == client && c.local == server {
			inode = c.inode
		}
	}
	return inode, err
}
