package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tcpListen is the state of a listening socket in /proc/net/tcp (TCP_LISTEN of
// include/net/tcp_states.h).
const tcpListen = 0x0A

// timeWait is what the state TCP_TIME_WAIT looks like: the only column of two digits.
// Tens of thousands of sockets may be in it, which nobody has any more.
const timeWait = " 06 "

// tcpSocket is a line of /proc/net/tcp, see proc_net_tcp.txt of the kernel.
type tcpSocket struct {
	local, remote netip.AddrPort
	state         uint64
	inode         uint64 // 0: no process has it, or none yet
}

// tcpSockets reads both families' tables.
func tcpSockets() ([]tcpSocket, error) {
	var all []tcpSocket
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // a system without IPv6
		}
		if err != nil {
			return nil, err
		}
		some, err := parseTCP(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
}

// parseTCP reads one table, but for what has been closed.
func parseTCP(r io.Reader) (all []tcpSocket, err error) {
	sc := bufio.NewScanner(r)
	sc.Scan() // the heading
	for sc.Scan() {
		if bytes.Contains(sc.Bytes(), []byte(timeWait)) {
			continue
		}
		var s tcpSocket
		var local, remote, other string
		_, err := fmt.Sscanf(sc.Text(), "%s %s %s %x %s %s %s %s %s %d", // as in the heading
			&other, &local, &remote, &s.state, &other, &other, &other, &other, &other, &s.inode)
		if err == nil {
			s.local, err = parseEnd(local)
		}
		if err == nil {
			s.remote, err = parseEnd(remote)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", sc.Text(), err)
		}
		all = append(all, s)
	}
	return all, sc.Err()
}

// parseEnd reads an address and a port. The address is in words of 32 bits, each of
// them a number in the machine's byte order.
func parseEnd(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	ip, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("address %q", s)
	}
	// An IPv4 client of a socket for both families is in the table of IPv6.
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}

// inodes lists the sockets that a process has.
func inodes(pid int) map[uint64]bool {
	found := map[uint64]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(dir) // none if it is gone
	for _, f := range files {
		target, _ := os.Readlink(filepath.Join(dir, f.Name()))
		if rest, ok := strings.CutPrefix(target, "socket:["); ok {
			if n, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64); err == nil {
				found[n] = true
			}
		}
	}
	return found
}

// clientsOf lists the clients' ends of the connections that a process has.
func clientsOf(pid int) (map[netip.AddrPort]bool, error) {
	all, err := tcpSockets()
	if err != nil {
		return nil, err
	}
	own, clients := inodes(pid), map[netip.AddrPort]bool{}
	for _, s := range all {
		if s.state != tcpListen && s.inode != 0 && own[s.inode] {
			clients[s.remote] = true
		}
	}
	return clients, nil
}

// serverEnd returns the inode of the other end of a connection of this machine with
// itself, or 0 if nobody has accepted it yet.
func serverEnd(client, server netip.AddrPort) (uint64, error) {
	all, err := tcpSockets()
	if err != nil {
		return 0, err
	}
	for _, s := range all {
		// An earlier connection between the same ends may be there yet, without an inode.
		if s.remote == client && s.local == server && s.inode != 0 {
			return s.inode, nil
		}
	}
	return 0, nil
}

// endOf is the address of one end of a TCP connection.
func endOf(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
