package core

import (
	"net"
	"path/filepath"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// How well an inherited socket fits what a program asks for; 0 is not at all.
const (
	rankAlike  = 1 + iota // it takes what the wanted one would, or a part of that
	rankSame              // it is bound to the very same
	rankCalled            // its owner calls it so
	rankSaid              // the old process has opened it with the same words
)

// fits says how well the socket fits what Listen(network, address), or ListenPacket, would
// bind. ":8080" is every address of the machine in both families, and so are "0.0.0.0:8080" and
// "[::]:8080" with the networks that name no family (net.Listen): of two sockets, one for each family, those take the one that
// they name. "tcp4" and "tcp6" with no host are one family each.
func (in *inherited) fits(network, address string) int {
	switch at := in.addr().(type) {
	case *net.UnixAddr:
		if (network == "unix" || network == "unixgram") && network == at.Net && samePath(at.Name, address) {
			return rankSame
		}
	case *net.TCPAddr:
		if want, err := net.ResolveTCPAddr(network, address); err == nil && in.hasPort(want.Port, at.Port) {
			return in.hasIP(network, want.IP, at.IP)
		}
	case *net.UDPAddr:
		if want, err := net.ResolveUDPAddr(network, address); err == nil && in.hasPort(want.Port, at.Port) {
			return in.hasIP(network, want.IP, at.IP)
		}
	}
	return 0
}

// hasPort compares ports. For one that the system chose, a parent that has no words for its listener has
// passed the one.
func (in *inherited) hasPort(want, at int) bool {
	return want == at || want == 0 && in.Network == "" && !in.Foreign
}

func (in *inherited) hasIP(network string, want, at net.IP) int {
	if want != nil && !want.IsUnspecified() {
		if want.Equal(at) {
			return rankSame
		}
		return 0
	}
	if !at.IsUnspecified() {
		return 0
	}
	v4 := at.To4() != nil
	v6 := !v4 && fd.IPv6Only(in.s)
	both := !v4 && !v6
	rank := func(exact bool) int {
		switch {
		case exact:
			return rankSame
		case in.Network == "" || in.Network == network:
			return rankAlike
		}
		return 0 // the program has changed the family
	}
	switch network[len(network)-1] {
	case '4': // tcp4, udp4
		if v4 {
			return rankSame
		}
		return 0
	case '6':
		if v6 {
			return rankSame
		}
		return 0
	}
	switch {
	case want == nil:
		return rank(both)
	case want.To4() != nil:
		if v6 {
			return 0
		}
		return rank(v4)
	}
	if v4 {
		return 0
	}
	return rank(v6)
}

// asSaid reports whether the socket is bound to the port that its owner says.
func (in *inherited) asSaid() bool {
	_, port, err := net.SplitHostPort(in.Address)
	if err != nil || in.addr() == nil {
		return true // no words, or a path
	}
	said, err := net.LookupPort(in.Network, port)
	if err != nil || said == 0 {
		return true
	}
	switch at := in.addr().(type) {
	case *net.TCPAddr:
		return at.Port == said
	case *net.UDPAddr:
		return at.Port == said
	}
	return false
}

func samePath(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" || a[0] == '@' || b[0] == '@' { // abstract, Linux
		return false
	}
	fa, err := filepath.Abs(a)
	if err != nil {
		return false
	}
	fb, err := filepath.Abs(b)
	return err == nil && fa == fb
}
