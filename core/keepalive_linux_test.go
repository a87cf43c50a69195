package core_test

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
)

// idleOf reads the options of a connection's other end, in the process that accepted it.
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

// TestKeepAlive: what WithKeepAlive says holds for connections of a listener of this process and of one that
// was inherited; without it the listener's own settings do.
func TestKeepAlive(t *testing.T) {
	for name, c := range map[string]struct {
		opts []core.Option
		own  *net.ListenConfig
		idle int
	}{
		"option":    {[]core.Option{core.WithKeepAlive(net.KeepAliveConfig{Enable: true, Idle: 3 * time.Minute})}, nil, 180},
		"left out":  {nil, nil, 15},
		"listener":  {nil, &net.ListenConfig{KeepAlive: 77 * time.Second}, 77},
		"both":      {[]core.Option{core.WithKeepAlive(net.KeepAliveConfig{Enable: true, Idle: 3 * time.Minute})}, &net.ListenConfig{KeepAlive: 77 * time.Second}, 180},
		"inherited": {[]core.Option{core.WithKeepAlive(net.KeepAliveConfig{Enable: true, Idle: 2 * time.Minute})}, nil, 120},
	} {
		t.Run(name, func(t *testing.T) {
			u := core.NewTest(t, c.opts...)
			var ln net.Listener
			var err error
			switch {
			case c.own != nil:
				ln, err = c.own.Listen(context.Background(), "tcp", "127.0.0.1:0")
				must(t, err)
				ln, err = u.AddListener(ln)
			case name == "inherited":
				f, _ := opened(t, "tcp", "127.0.0.1:0")
				ln, err = u.ListenFD(dupOf(t, f))
			default:
				ln, err = u.Listen(context.Background(), "tcp", "127.0.0.1:0")
			}
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

// dupOf is a descriptor of the file, for somebody who closes it.
func dupOf(t *testing.T, f *os.File) int {
	t.Helper()
	s, err := syscall.Dup(int(f.Fd()))
	must(t, err)
	return s
}
