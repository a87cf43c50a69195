package proc

import (
	"net"
	"os"
	"slices"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

func TestHoldersOf_FindsThisProcess(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp4", "tcp6"} {
		ln, err := net.Listen(network, "localhost:0")
		if err != nil {
			t.Logf("%s: %v", network, err)
			continue
		}
		defer ln.Close()
		at := ln.Addr().(*net.TCPAddr)
		for _, address := range []string{at.String(), (&net.TCPAddr{Port: at.Port}).String()} {
			holders := HoldersOf(address)
			own := func(h Holder) bool { return h.PID == os.Getpid() && h.Address == at.String() && h.Name != "" }
			if !slices.ContainsFunc(holders, own) {
				t.Errorf("on %s: %+v", address, holders)
			}
		}
	}
	if got := HoldersOf("127.0.0.1:nonsense"); got != nil {
		t.Errorf("at no address: %+v", got)
	}
}

func TestInTheWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "0.0.0.0:80", true},
		{"127.0.0.1:80", "[::]:80", true},
		{"127.0.0.1:80", "[::1]:80", false},
		{":80", "[::1]:80", true},
	} {
		a, b := must.Get(net.ResolveTCPAddr("tcp", tt.a))(t), must.Get(net.ResolveTCPAddr("tcp", tt.b))(t)
		if InTheWay(a, b) != tt.want || InTheWay(b, a) != tt.want {
			t.Errorf("%s and %s: want %v", tt.a, tt.b, tt.want)
		}
	}
}
