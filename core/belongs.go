package core

import (
	"net"
	"slices"
	"strings"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// sideFor returns the server that a connection belongs to which was accepted from a listener of the old
// process; nil if there is none that can take it. It is the one whose listener has the connection's local
// address, and no other: one that speaks TLS there, or has a listener of the program's own, is the owner all
// the same, and the connection stays where it is.
func (u *Upgrader) sideFor(what wire.Conn, http2 bool, local net.Addr) *conns.Side {
	at := what.Listener
	if at == nil {
		return nil
	}
	k := kind{what.TLS > 0, http2}
	owners, best := []*candidate(nil), 0
	for _, o := range u.candidates(k) {
		switch rank := accepts(o.addr, local); {
		case rank == 0 || rank < best || rank == 1 && o.isForIPv6():
		case rank > best:
			owners, best = []*candidate{o}, rank
		default:
			owners = append(owners, o)
		}
	}
	if best == 0 {
		return u.sideCalled(at, k, local)
	}
	if said := slices.DeleteFunc(slices.Clone(owners), func(o *candidate) bool { return !o.called(at) }); len(said) > 0 {
		owners = said // of several with one address (SO_REUSEPORT)
	}
	if slices.ContainsFunc(owners, func(o *candidate) bool { return o.side == nil }) {
		return nil // any of them could have accepted it
	}
	return owners[0].side
}

// sideCalled is for a connection whose local address is no listener's, because a firewall has changed it
// (TPROXY). The words by which its listener was opened count if they name the connection's port, and are one
// listener's alone in both processes. Words with port 0, and names of systemd sockets, say nothing.
func (u *Upgrader) sideCalled(at *wire.Listener, k kind, local net.Addr) *conns.Side {
	c, ok := local.(*net.TCPAddr)
	if !ok || c.Port == 0 || c.Port != portOf(at) || u.inherited.called(at) > 1 {
		return nil
	}
	owners := slices.DeleteFunc(u.candidates(k), func(o *candidate) bool { return !o.called(at) })
	if len(owners) != 1 {
		return nil
	}
	return owners[0].side
}

// kind is what a connection carries.
type kind struct{ overTLS, http2 bool }

// sideOf returns what takes connections of a kind over; nil if nothing does.
func (s *server) sideOf(k kind) *conns.Side {
	switch {
	case !s.moves || k.overTLS != s.secure:
		return nil
	case s.secure && k.http2:
		return s.sideHTTP2
	}
	return s.side
}

// candidate is a listener of this process, with the server that takes connections over for it.
type candidate struct {
	addr   net.Addr
	origin *conns.Origin // nil for a listener that is none of ours
	side   *conns.Side   // nil if none does
}

func (o *candidate) isForIPv6() bool { return o.origin != nil && o.origin.Network == "tcp6" }

func (o *candidate) called(at *wire.Listener) bool {
	return o.origin != nil && o.origin.Network == at.Network && o.origin.Address == at.Address
}

// candidates returns all listeners of this process that clients connect to. In a drain those of its servers are
// closed and still the owners.
func (u *Upgrader) candidates(k kind) (all []*candidate) {
	served := make(map[*listener]bool)
	for _, s := range u.servers.all() {
		o := &candidate{addr: s.ln.Addr(), side: s.sideOf(k)}
		if s.own != nil {
			o.origin, served[s.own] = &s.own.origin, true
		}
		all = append(all, o)
	}
	for _, l := range u.moving.all() {
		served[l.own] = true
		o := &candidate{addr: l.Addr(), origin: &l.own.origin}
		if k.overTLS == l.isSecure() {
			o.side = l.side
		}
		all = append(all, o)
	}
	for _, l := range only[*listener](u.passing.all()) {
		if !served[l] && l.origin.Network != networkControl {
			all = append(all, &candidate{addr: l.Addr(), origin: &l.origin})
		}
	}
	return all
}

// serverAt returns the server whose listener fits a connection's local address best, the first one of several; nil if
// none does.
func (u *Upgrader) serverAt(local net.Addr) (at *server) {
	best := 0
	for _, s := range u.servers.all() {
		if rank := accepts(s.ln.Addr(), local); rank > best {
			at, best = s, rank
		}
	}
	return at
}

// portOf returns the TCP port that a listener's words name; 0 if they name none.
func portOf(at *wire.Listener) int {
	_, port, err := net.SplitHostPort(at.Address)
	if err != nil || !strings.HasPrefix(at.Network, "tcp") {
		return 0
	}
	n, err := net.LookupPort(at.Network, port)
	if err != nil {
		return 0
	}
	return n
}

// accepts says how well a listener's address fits a connection's local one: 0 not at all, 1 as one that is bound to all
// addresses of the other family and may have those of both, 2 as one that is bound to all of the same family, 3 as the
// very one.
func accepts(listener, local net.Addr) int {
	switch l := listener.(type) {
	case *net.TCPAddr:
		c, ok := local.(*net.TCPAddr)
		switch {
		case !ok || c.Port != l.Port:
			return 0
		case c.IP.Equal(l.IP):
			return 3
		case !l.IP.IsUnspecified():
			return 0
		case (l.IP.To4() == nil) == (c.IP.To4() == nil):
			return 2
		case l.IP.To4() == nil:
			return 1
		}
	case *net.UnixAddr:
		if c, ok := local.(*net.UnixAddr); ok && samePath(l.Name, c.Name) {
			return 3
		}
	}
	return 0
}
