package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gracex-go/gracex/core/internal/sockdiag"
	"github.com/gracex-go/gracex/internal/load"
)

// The states of sockets in /proc/net/tcp that are no connections of a process (include/net/tcp_states.h). Tens of
// thousands may be in TIME_WAIT; no other column has two digits.
const (
	tcpListen   = "0A"
	tcpTimeWait = " 06 "
	emptyQueue  = "00000000"
)

// connections lists the ends that processes have of all TCP connections.
func connections() ([]sockdiag.TCP, error) {
	if all, err := sockdiag.Connections(); err == nil {
		return all, nil
	}
	return inTables()
}

// inTables is for a kernel without sock_diag. It reads both families' tables, see proc_net_tcp.txt of the kernel. They have
// all sockets of the machine: on a busy one with tens of thousands in TIME_WAIT a look takes seconds.
func inTables() (all []sockdiag.TCP, err error) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a system without IPv6
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line) // sl local_address rem_address st queues tr:when retrnsmt uid timeout inode
			if strings.Contains(line, tcpTimeWait) || len(f) > 0 && f[0] == "sl" {
				continue
			}
			if len(f) < 10 {
				return nil, fmt.Errorf("%s: %q", name, line)
			}
			if f[3] == tcpListen || f[9] == "0" { // it is no connection, was not accepted, or is closed
				continue
			}
			local, err := inTable(f[1])
			remote, rerr := inTable(f[2])
			inode, ierr := strconv.ParseUint(f[9], 10, 32)
			if err := errors.Join(err, rerr, ierr); err != nil {
				return nil, fmt.Errorf("%s: %q: %w", name, line, err)
			}
			sent, received, _ := strings.Cut(f[4], ":")
			all = append(all, sockdiag.TCP{
				Local: local, Remote: remote, Inode: uint32(inode), Acked: sent == emptyQueue, IsRead: received == emptyQueue,
			})
		}
	}
	return all, nil
}

// inTable reads an address as the tables have it: words of 32 bits, each a number in the machine's byte order, and the port.
func inTable(s string) (netip.AddrPort, error) {
	words, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(words)
	n, perr := strconv.ParseUint(port, 16, 16)
	for word := b; len(word) >= 4; word = word[4:] {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	ip, ok := netip.AddrFromSlice(b)
	if !ok && err == nil {
		err = fmt.Errorf("no address: %s", words)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), errors.Join(err, perr)
}

// tcpConn is a TCP connection, by both its ends. One of them does not say which it is: the kernel gives a client the same
// port for connections to several servers.
type tcpConn struct{ client, server netip.AddrPort }

// connOf is the connection that a request went over.
func connOf(s load.Sample) tcpConn {
	return tcpConn{client: addrPort(s.Local), server: addrPort(s.Remote)}
}

// addrPort is the address of one end of a TCP connection, invalid for another one. IPv4 is IPv4 also on a socket for both
// families.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := t.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// inodes lists the sockets that a process has.
func inodes(pid int) map[uint32]bool {
	found := map[uint32]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(dir) // none if it is gone
	for _, f := range files {
		target, _ := os.Readlink(filepath.Join(dir, f.Name()))
		if rest, ok := strings.CutPrefix(target, "socket:["); ok {
			inode, _ := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 32)
			found[uint32(inode)] = true
		}
	}
	return found
}

// connsOf lists the connections that a process has, as the server. Those that it has as a client are there with their ends
// exchanged, and match nothing.
func connsOf(pid int) (map[tcpConn]bool, error) {
	all, err := connections()
	own, conns := inodes(pid), map[tcpConn]bool{}
	for _, c := range all {
		if own[c.Inode] {
			conns[tcpConn{client: c.Remote, server: c.Local}] = true
		}
	}
	return conns, err
}

// ends looks at a connection of this machine with itself: whether all that the client has sent has arrived, and the
// server's end, which has no inode if nobody has accepted the connection yet.
func ends(client, server net.Addr) (arrived bool, end sockdiag.TCP, err error) {
	c, s := addrPort(client), addrPort(server)
	from, err := sockdiag.LookUp(c, s)
	if err == nil {
		end, err = sockdiag.LookUp(s, c)
	}
	if err != nil {
		return endsInTables(client, server)
	}
	return from.Acked, end, nil
}

// endsInTables is ends for a kernel without sock_diag.
func endsInTables(client, server net.Addr) (arrived bool, end sockdiag.TCP, err error) {
	all, err := inTables()
	c, s := addrPort(client), addrPort(server)
	for _, one := range all {
		switch {
		case one.Remote == c && one.Local == s:
			end = one
		case one.Remote == s && one.Local == c:
			arrived = one.Acked
		}
	}
	return arrived, end, err
}
