//go:build unix

package core

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

func TestInherited_FitsTheAddressesThatItListensAt(t *testing.T) {
	t.Parallel()
	port := func(addr string) string { return addr[strings.LastIndex(addr, ":")+1:] }
	for _, tt := range []struct {
		network, address string   // as the old process opened it
		yes, no          []string // "network,address"; * is the port
	}{
		{"tcp", "127.0.0.1:0", []string{"tcp,127.0.0.1:*", "tcp4,127.0.0.1:*", "tcp,localhost:*"},
			[]string{"tcp,:*", "tcp,127.0.0.2:*", "tcp,127.0.0.1:1", "tcp,0.0.0.0:*", "unix,127.0.0.1:*", "tcp,127.0.0.1:0"}},
		{"tcp", ":0", []string{"tcp,:*", "tcp,0.0.0.0:*", "tcp,[::]:*"}, []string{"tcp4,:*", "tcp6,:*", "tcp,127.0.0.1:*"}},
		{"tcp4", ":0", []string{"tcp4,:*", "tcp4,0.0.0.0:*"}, []string{"tcp,:*", "tcp6,:*", "tcp4,127.0.0.1:*"}},
		{"tcp6", "[::]:0", []string{"tcp6,:*"}, []string{"tcp,:*", "tcp4,:*", "tcp6,[::1]:*"}},
	} {
		ln, err := net.Listen(tt.network, tt.address)
		if err != nil {
			t.Logf("%s %s: %v", tt.network, tt.address, err) // no IPv6 here
			continue
		}
		defer ln.Close()
		s := dupOf(t, ln)
		defer fd.Close(s)
		in := &inherited{Listener: wire.Listener{Network: tt.network, Address: tt.address}, ln: ln, s: s}
		for _, list := range [][]string{tt.yes, tt.no} {
			for _, s := range list {
				network, address, _ := strings.Cut(strings.ReplaceAll(s, "*", port(ln.Addr().String())), ",")
				want := slices.Contains(tt.yes, s)
				if got := in.fits(network, address) > 0; got != want {
					t.Errorf("%s %s fits(%s, %s) = %v", tt.network, ln.Addr(), network, address, got)
				}
			}
		}
	}
}

// TestClaim_EachFamilyGoesToItsOwnAddress whatever the order in which a parent without words has passed them.
func TestClaim_EachFamilyGoesToItsOwnAddress(t *testing.T) {
	t.Parallel()
	v4, err := net.Listen("tcp4", ":0")
	must(t, err)
	defer v4.Close()
	port := v4.Addr().(*net.TCPAddr).Port
	v6, err := net.Listen("tcp6", fmt.Sprintf("[::]:%d", port))
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	defer v6.Close()
	h := &inheritance{}
	for i, ln := range []net.Listener{v6, v4} {
		s := dupOf(t, ln)
		defer fd.Close(s)
		h.unclaimed = append(h.unclaimed, &inherited{ln: ln, s: s, index: i})
	}
	for i, address := range []string{"0.0.0.0", "[::]"} { // of the other family than the only one there is
		h := &inheritance{unclaimed: []*inherited{h.unclaimed[i]}}
		if in := h.claim(wire.KindListener, "tcp", fmt.Sprintf("%s:%d", address, port)); in != nil {
			t.Errorf("%s gets %v", address, in.ln.Addr())
		}
	}
	for _, c := range []struct {
		address string
		want    net.Listener
	}{{"0.0.0.0", v4}, {"[::]", v6}, {"", nil}} {
		got := h.claim(wire.KindListener, "tcp", fmt.Sprintf("%s:%d", c.address, port))
		if c.want == nil != (got == nil) || got != nil && got.ln != c.want {
			t.Errorf("%q: %+v", c.address, got)
		}
	}
}
