package core_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// idleOf reads the options of an accepted connection.
func idleOf(t *testing.T, nc net.Conn) (idle int, on bool) {
	t.Helper()
	rc, err := nc.(syscall.Conn).SyscallConn()
	must(t, err)
	must(t, rc.Control(func(s uintptr) {
		v, err := syscall.GetsockoptInt(int(s), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
		must(t, err)
		on = v != 0
		idle, err = syscall.GetsockoptInt(int(s), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE)
		must(t, err)
	}))
	return idle, on
}

// TestWithKeepAlive_HoldsForEveryListener: this process has opened it, or has inherited it. Without the option the
// listener's own settings hold.
func TestWithKeepAlive_HoldsForEveryListener(t *testing.T) {
	option := core.WithKeepAlive(net.KeepAliveConfig{Enable: true, Idle: 3 * time.Minute})
	fresh := func(t *testing.T, u *core.Upgrader) (net.Listener, error) {
		return u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	}
	own := func(t *testing.T, u *core.Upgrader) (net.Listener, error) {
		ln, err := (&net.ListenConfig{KeepAlive: 77 * time.Second}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		must(t, err)
		return u.AddListener(ln)
	}
	inherited := func(t *testing.T, u *core.Upgrader) (net.Listener, error) {
		f, _ := opened(t, "tcp", "127.0.0.1:0")
		s, err := syscall.Dup(int(f.Fd())) // which u closes
		must(t, err)
		return u.ListenFD(s)
	}
	for name, c := range map[string]struct {
		opts   []core.Option
		listen func(*testing.T, *core.Upgrader) (net.Listener, error)
		idle   int
	}{
		"option":    {[]core.Option{option}, fresh, 180},
		"left out":  {nil, fresh, 15},
		"listener":  {nil, own, 77},
		"both":      {[]core.Option{option}, own, 180},
		"inherited": {[]core.Option{option}, inherited, 180},
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t, c.opts...)
			ln, err := c.listen(t, u)
			must(t, err)
			must(t, u.Ready())
			client, err := net.Dial("tcp", ln.Addr().String())
			must(t, err)
			defer client.Close()
			nc, err := ln.Accept()
			must(t, err)
			defer nc.Close()
			if idle, on := idleOf(t, nc); !on || idle != c.idle {
				t.Errorf("idle %d, on %v; want %d", idle, on, c.idle)
			}
		})
	}
}
