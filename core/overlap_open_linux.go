package core

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
)

// openOverlapping opens the address if listeners that were inherited overlap with it. It returns nil without
// an error if none does. The caller holds h.mu.
func (h *inheritance) openOverlapping(ctx context.Context, network, address string) (net.Listener, error) {
	want, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, nil //nolint:nilerr // opening it says so
	}
	narrower := []*inherited{}
	for _, in := range h.unclaimed {
		at, ok := in.addr().(*net.TCPAddr)
		if !ok || at.Port != want.Port || in.Foreign {
			continue
		}
		switch every := len(want.IP) == 0 || want.IP.IsUnspecified(); {
		case every && !at.IP.IsUnspecified() && inFamily(network, at.IP):
			narrower = append(narrower, in)
		case !every && at.IP.IsUnspecified() && in.takes(want.IP):
			return h.standIn(in, want)
		}
	}
	if len(narrower) == 0 {
		return nil, nil
	}
	return h.widen(ctx, network, address, narrower)
}

// inFamily reports whether a listener for the network on all interfaces takes what is for ip.
func inFamily(network string, ip net.IP) bool {
	switch network {
	case "tcp4":
		return ip.To4() != nil
	case "tcp6":
		return ip.To4() == nil
	}
	return true
}

// takes reports whether the listener, which is on all interfaces, takes what is for ip.
func (in *inherited) takes(ip net.IP) bool {
	if ip.To4() == nil {
		return in.addr().(*net.TCPAddr).IP.To4() == nil
	}
	return !fd.IPv6Only(in.s)
}

// widen opens a listener on all interfaces beside inherited ones that are on one each.
func (h *inheritance) widen(ctx context.Context, network, address string, narrower []*inherited) (net.Listener, error) {
	for _, in := range narrower {
		if err := fd.ReusePort(in.s, true); err != nil {
			return nil, err
		}
		defer func() { _ = fd.ReusePort(in.s, false) }() // no other program is to join them
	}
	ln, err := openWith(ctx, net.ListenConfig{Control: reusePort(true)}, network, address)
	if err != nil {
		return nil, err
	}
	o, err := newOverlap(ln.Addr(), ln)
	if err != nil {
		return nil, err
	}
	return o, h.addAsides(o, narrower)
}

// addAsides makes the listener accept from narrower ones, too, which were inherited.
func (h *inheritance) addAsides(o *overlap, narrower []*inherited) error {
	for _, in := range narrower {
		say := in.Listener
		say.Aside = true
		o.asides = append(o.asides, &namedFile{say, in.s})
		h.takeOut(slices.Index(h.unclaimed, in))
		if err := o.add(in.ln); err != nil {
			_ = o.Close()
			return err
		}
	}
	return nil
}

// withAsides returns the listener of an inherited one that was claimed, together with those that the
// old process had beside it. The caller holds h.mu.
func (h *inheritance) withAsides(in *inherited) (net.Listener, error) {
	at, ok := in.addr().(*net.TCPAddr)
	if !ok {
		return in.ln, nil
	}
	var asides []*inherited
	for _, other := range h.unclaimed {
		if o, ok := other.addr().(*net.TCPAddr); ok && other.Aside && o.Port == at.Port {
			asides = append(asides, other)
		}
	}
	if len(asides) == 0 {
		return in.ln, nil
	}
	o, err := newOverlap(at, in.ln)
	if err != nil {
		return nil, err
	}
	return o, h.addAsides(o, asides)
}

// standIn makes the listener for an address of an inherited one that is on all interfaces.
func (h *inheritance) standIn(in *inherited, want *net.TCPAddr) (net.Listener, error) {
	o, err := newOverlap(want, in.ln)
	if err != nil {
		return nil, err
	}
	o.only, o.standsIn = want.IP, &in.Listener
	h.takeOut(slices.Index(h.unclaimed, in))
	_ = fd.Close(in.s)
	return o, nil
}

// reusePort is for a net.ListenConfig.
func reusePort(on bool) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var rerr error
		err := c.Control(func(s uintptr) { rerr = fd.ReusePort(int(s), on) })
		return errors.Join(err, rerr)
	}
}
