//go:build unix

package core

import (
	"fmt"
	"net"
	"strconv"
	"testing"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestSideFor_TheOwnerOfTheAddressOrNone: two servers of the old process were opened with the same words. A
// connection to one of them must not come to the other, whatever the new version has made of it.
func TestSideFor_TheOwnerOfTheAddressOrNone(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := rawhttp.Certificate(t)
	for variant, taken := range map[string]bool{"same": true, "tls": false, "wrap": false, "gone": false, "loop": false} {
		t.Run(variant, func(t *testing.T) {
			u := NewTest(t)
			u.inherited.words = []wire.Listener{*atListener, *atListener}
			public, admin := u.ListenTest(t), u.ListenTest(t)
			must(t, u.Attach(notFound(), public))
			switch variant {
			case "same":
				must(t, u.Attach(notFound(), admin))
			case "tls":
				must(t, u.AttachTLS(notFound(), admin, certFile, keyFile))
			case "wrap":
				must(t, u.Attach(notFound(), Hiding{admin}))
			case "gone":
				must(t, admin.Close())
			case "loop": // of the program's own
			}
			side := u.sideFor(wire.Conn{Listener: atListener}, false, admin.Addr())
			expectEqual(t, variant+": the connection to admin is taken", side != nil, taken)
			expectEqual(t, variant+": by public", side == u.servers.all()[0].side, false)
			expectEqual(t, variant+": the one to public is taken by public", u.sideFor(wire.Conn{Listener: atListener}, false, public.Addr()), u.servers.all()[0].side)
		})
	}
}

// TestSideFor_WordsCountForTheConnectionsPortAlone, where its local address is nobody's.
func TestSideFor_WordsCountForTheConnectionsPortAlone(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.AttachTest(t, notFound())
	s := u.servers.all()[0]
	port := s.ln.Addr().(*net.TCPAddr).Port
	said := func(network, address string) *wire.Listener {
		return &wire.Listener{Network: network, Address: address}
	}
	words := func(port int) *wire.Listener { return said("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) }
	local := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: port} }
	for _, tt := range []struct {
		at    *wire.Listener
		opens *wire.Listener // this process's words
		old   int            // listeners of the old process with them
		local net.Addr
		want  *conns.Side
	}{
		{words(port), words(port), 1, local(port), s.side},
		{words(port), words(port), 2, local(port), nil},
		{words(port), words(port), 1, local(port + 1), nil},
		{words(port), words(port + 1), 1, local(port), nil},
		{words(0), words(0), 1, local(port), nil},
		{words(0), words(0), 1, local(0), nil},
		{said("tcp", "web"), said("tcp", "web"), 1, local(port), nil},
		{said("unix", "a:80"), said("unix", "a:80"), 1, &net.UnixAddr{Net: "unix", Name: "b"}, nil},
	} {
		s.own.origin.Network, s.own.origin.Address = tt.opens.Network, tt.opens.Address
		u.inherited.words = make([]wire.Listener, tt.old)
		for i := range u.inherited.words {
			u.inherited.words[i] = *tt.at
		}
		if got := u.sideFor(wire.Conn{Listener: tt.at}, false, tt.local); got != tt.want {
			t.Errorf("said %v, %d times; opened %v; at %v: taken %v", *tt.at, tt.old, *tt.opens, tt.local, got != nil)
		}
	}
	s.own.origin.Network, s.own.origin.Address = "tcp", fmt.Sprintf("127.0.0.1:%d", port)
	at := words(port)
	u.inherited.words = []wire.Listener{*at}
	if ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0"); err == nil {
		ln.(*listener).origin.Network, ln.(*listener).origin.Address = at.Network, at.Address
	}
	expectEqual(t, "two of this process have the words: taken", u.sideFor(wire.Conn{Listener: at}, false, local(port)) != nil, false)
}

// TestSideFor_SharedAddressIsNobodys if one of its servers could not have the connection (SO_REUSEPORT).
func TestSideFor_SharedAddressIsNobodys(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	u.AttachTest(t, notFound())
	all := u.servers.all()
	u.servers.list = append(u.servers.list, &server{ln: all[0].ln, own: all[0].own})
	got := u.sideFor(wire.Conn{Listener: atListener}, false, all[0].ln.Addr())
	u.servers.list = all
	expectEqual(t, "taken", got != nil, false)
}

// TestSideFor_OneServerForEachFamily: words of an old version that had one server for both do not tell which.
func TestSideFor_OneServerForEachFamily(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	sixth, err := u.Listen(t.Context(), "tcp6", "[::]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6: %v", err)
	}
	must(t, u.Attach(notFound(), sixth))
	port := sixth.Addr().(*net.TCPAddr).Port
	at := &wire.Listener{Network: "tcp", Address: net.JoinHostPort("", strconv.Itoa(port))}
	local := func(ip net.IP) net.Addr { return &net.TCPAddr{IP: ip, Port: port} }
	expectEqual(t, "without a server for IPv4 its connections are taken", u.sideFor(wire.Conn{Listener: at}, false, local(net.IPv4(127, 0, 0, 1))) != nil, false)
	fourth, err := u.Listen(t.Context(), "tcp4", net.JoinHostPort("0.0.0.0", strconv.Itoa(port)))
	must(t, err)
	must(t, u.Attach(notFound(), fourth))
	all := u.servers.all()
	for range 2 {
		for _, s := range all {
			ip := net.IPv6loopback
			if s.ln == fourth {
				ip = net.IPv4(127, 0, 0, 1)
			}
			if got := u.sideFor(wire.Conn{Listener: at}, false, local(ip)); got != s.side {
				t.Errorf("a connection to %v is taken by another server, or by none: %v", ip, got == nil)
			}
		}
		u.servers.list[0], u.servers.list[1] = u.servers.list[1], u.servers.list[0]
	}
}
