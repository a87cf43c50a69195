package proc

import "net"

// Holder is a process that listens on an address.
type Holder struct {
	PID     int
	Name    string // of its program, as ps shows it
	Address string // that the socket is bound to
}

// InTheWay reports whether a listener on one address prevents one on the other: the port is the same,
// and the IP, or one of them is every address of the machine.
func InTheWay(a, b *net.TCPAddr) bool {
	every := func(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }
	return a.Port == b.Port && (every(a.IP) || every(b.IP) || a.IP.Equal(b.IP))
}
