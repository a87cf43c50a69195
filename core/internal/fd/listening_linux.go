package fd

import (
	"net"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/sockdiag"
)

// fewOpen is how many descriptors are looked at each time, whatever the kernel says.
const fewOpen = 1000

// Look is Listening, for a caller that looks often. With many descriptors it goes through them only if a socket of this
// machine has begun to listen since the last time, or one of this process has gone. What is not noticed then is a
// socket of another network namespace, or one that another process has passed on.
func (l *Listeners) Look() ([]Socket, error) {
	anywhere, err := sockdiag.Listening() // before the look: what begins to listen meanwhile is new the next time
	if err != nil {
		return Listening()
	}
	if n, ok := countOpen(); ok && n > fewOpen && l.known != nil && l.same(anywhere) {
		return l.found, nil
	}
	found, err := Listening()
	if err != nil {
		return nil, err
	}
	l.known, l.found = anywhere, found
	return found, nil
}

// same reports whether there is none that was not known, and the own ones are where they were.
func (l *Listeners) same(anywhere map[uint64]bool) bool {
	for inode := range anywhere {
		if !l.known[inode] {
			return false
		}
	}
	for _, s := range l.found {
		if inode, ok := Inode(s.FD); !ok || inode != s.Inode {
			return false
		}
	}
	return true
}

// Listening returns the stream sockets of TCP and unix on which this process listens, each once,
// by the number of their descriptors. It asks the descriptors themselves and not /proc/net, so that
// a socket of another network namespace is found too. It takes 1 to 2 ms for 1,000 descriptors.
func Listening() (found []Socket, err error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	_ = dir.Close()
	if err != nil {
		return nil, err
	}
	known := make(map[uint64]bool)
	for _, name := range names {
		s, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// What fails is no socket, or was closed meanwhile.
		if on, err := syscall.GetsockoptInt(s, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
			continue
		}
		inode, ok := Inode(s)
		network, address := boundTo(s)
		if !ok || network == "" || known[inode] {
			continue
		}
		known[inode] = true
		found = append(found, Socket{s, inode, network, address})
	}
	slices.SortFunc(found, func(a, b Socket) int { return a.FD - b.FD })
	return found, nil
}

// Inode returns the number by which the descriptors of one socket are known.
func Inode(s int) (uint64, bool) {
	var st syscall.Stat_t
	err := syscall.Fstat(s, &st)
	return st.Ino, err == nil
}

// boundTo returns the network and the address of a stream socket, empty for families other than
// TCP's and unix.
func boundTo(s int) (network, address string) {
	at, err := syscall.Getsockname(s)
	if err != nil {
		return "", ""
	}
	switch at := at.(type) {
	case *syscall.SockaddrInet4:
		return "tcp", (&net.TCPAddr{IP: at.Addr[:], Port: at.Port}).String()
	case *syscall.SockaddrInet6:
		return "tcp", (&net.TCPAddr{IP: at.Addr[:], Port: at.Port, Zone: zone(at.ZoneId)}).String()
	case *syscall.SockaddrUnix:
		return "unix", at.Name
	}
	return "", ""
}

// zone is the name of an interface, or its number, as package net has it; empty for 0.
func zone(index uint32) string {
	if index == 0 {
		return ""
	}
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		return i.Name
	}
	return strconv.FormatUint(uint64(index), 10)
}
