//go:build unix

package core_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/core/internal/fd"
)

// packetPair is a socket of an Upgrader in this process, and its client.
type packetPair struct {
	t      *testing.T
	u      *core.Upgrader
	pc     *core.PacketConn
	client net.Conn
	reads  chan packet // what begin has read
}

type packet struct {
	text string
	from netip.AddrPort
	err  error
}

func newPacketPair(t *testing.T, opts ...core.Option) *packetPair {
	t.Helper()
	u := core.NewTest(t, opts...)
	pc, err := u.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	must(t, err)
	client, err := net.Dial("udp", pc.LocalAddr().String())
	must(t, err)
	t.Cleanup(func() { client.Close() })
	return &packetPair{t, u, pc, client, make(chan packet, 1)}
}

func (p *packetPair) send(text string) {
	p.t.Helper()
	_, err := p.client.Write([]byte(text))
	must(p.t, err)
}

// begin reads the next datagram in the background.
func (p *packetPair) begin() {
	go func() {
		b := make([]byte, 100)
		n, from, err := p.pc.ReadFromUDPAddrPort(b)
		p.reads <- packet{string(b[:n]), from, err}
	}()
}

// expect waits for what begin reads.
func (p *packetPair) expect(text string, want error) packet {
	p.t.Helper()
	r := <-p.reads
	if r.text != text || !errors.Is(r.err, want) {
		p.t.Errorf("read %q, %v, want %q, %v", r.text, r.err, text, want)
	}
	return r
}

// expectDeadline checks that a deadline ends a read, and lifts it.
func (p *packetPair) expectDeadline(in time.Duration) {
	p.t.Helper()
	must(p.t, p.pc.SetReadDeadline(time.Now().Add(in)))
	if _, _, err := p.pc.ReadFrom(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("a read that has a deadline: %v", err)
	}
	must(p.t, p.pc.SetReadDeadline(time.Time{}))
}

func TestPacketConn_ReadsOnlyWhileTheProcessServes(t *testing.T) {
	p := newPacketPair(t)
	p.send("early")
	p.expectDeadline(20 * time.Millisecond)
	must(t, p.u.Ready())
	p.begin()
	from := p.expect("early", nil).from
	p.expectDeadline(time.Millisecond) // nothing comes

	// A read that waits takes nothing once it is paused: what comes is the other process's.
	p.begin()
	time.Sleep(10 * time.Millisecond) // so that it waits in the socket; one that comes later waits before it
	p.pc.Pause()
	other, err := fd.PacketConn(p.pc.Descriptor())
	must(t, err)
	p.send("other")
	must(t, other.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 100)
	if n, _, err := other.ReadFrom(b); err != nil || string(b[:n]) != "other" {
		t.Errorf("the other process reads %q %v", b[:n], err)
	}
	must(t, other.Close())
	p.pc.Resume()
	p.send("again")
	p.expect("again", nil)

	// Paused, what comes waits; a deadline that is moved meanwhile holds.
	p.pc.Pause()
	p.send("waits")
	p.begin()
	must(t, p.pc.SetReadDeadline(time.Now()))
	p.expect("", os.ErrDeadlineExceeded)
	must(t, p.pc.SetDeadline(time.Time{}))
	p.begin()
	p.pc.Resume()
	p.expect("waits", nil)

	// The drain ends the reads, lets the answers go out and waits for Close.
	p.begin()
	stopped := make(chan error, 1)
	go func() { stopped <- p.u.Stop(context.Background()) }()
	p.expect("", net.ErrClosed)
	if _, err := p.pc.WriteToUDPAddrPort([]byte("late"), from); err != nil {
		t.Errorf("an answer while draining: %v", err)
	}
	select {
	case err := <-stopped:
		t.Errorf("the drain did not wait for Close: %v", err)
	default:
	}
	must(t, p.pc.Close())
	must(t, <-stopped)
	if err := p.pc.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}

func TestListenPacket_RefusalNamesTheRemedy(t *testing.T) {
	p := newPacketPair(t)
	path := filepath.Join(t.TempDir(), "gram")
	gram, err := p.u.ListenPacket(t.Context(), "unixgram", path)
	must(t, err)
	if _, _, err := gram.ReadFromUDPAddrPort(make([]byte, 100)); !errors.Is(err, syscall.ENOTSUP) {
		t.Error(err)
	}
	for _, tt := range []struct{ network, address, want string }{
		{"udp", p.pc.LocalAddr().String(), "stop it or choose another address"},
		{"tcp", ":0", "the network must be udp"},
		{"unixgram", "", "needs a path"},
		{"unixgram", path, "another program listens there"},
		{"unixgram", filepath.Dir(path) + "/x/y", "create it"},
	} {
		_, err := p.u.ListenPacket(t.Context(), tt.network, tt.address)
		expectError(t, err, tt.want)
	}
	must(t, gram.Close())
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path is left behind: %v", err)
	}
}

// TestPacketConn_IsCutAtTheDeadline if the program does not close it, and counted.
func TestPacketConn_IsCutAtTheDeadline(t *testing.T) {
	p := newPacketPair(t, core.WithDrainTimeout(1))
	must(t, p.u.Ready())
	if err := p.u.Stop(t.Context()); !errors.Is(err, core.ErrCut) || !strings.Contains(err.Error(), "1 datagram socket") {
		t.Error(err)
	}
	if got := p.u.Status().Ledger.Cut.Sockets; got != 1 {
		t.Errorf("%d cut", got)
	}
	if err := p.pc.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
