//go:build unix

package core_test

import (
	"net"
	"os"
	"path/filepath"
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
		n, _, err := p.pc.ReadFromUDPAddrPort(b)
		p.reads <- packet{string(b[:n]), err}
	}()
}

// expect waits for what begin reads.
func (p *packetPair) expect(text string, want error) {
	p.t.Helper()
	r := <-p.reads
	expectEqual(p.t, "it has read", r.text, text)
	expectIs(p.t, "its error", r.err, want)
}

// expectDeadline checks that a deadline ends a read, and lifts it.
func (p *packetPair) expectDeadline(in time.Duration) {
	p.t.Helper()
	must(p.t, p.pc.SetReadDeadline(time.Now().Add(in)))
	_, _, err := p.pc.ReadFrom(make([]byte, 100))
	expectIs(p.t, "a read that has a deadline", err, os.ErrDeadlineExceeded)
	must(p.t, p.pc.SetReadDeadline(time.Time{}))
}

func TestPacketConn_ReadsOnlyWhileTheProcessServes(t *testing.T) {
	p := newPacketPair(t)
	p.send("early")
	p.expectDeadline(20 * time.Millisecond)
	must(t, p.u.Ready())
	p.begin()
	p.expect("early", nil)
	p.expectDeadline(time.Millisecond) // nothing comes

	// A read that waits takes nothing once it is paused: what comes is the other process's.
	p.begin()
	core.AwaitStack(t, "[IO wait", "(*packetPair).begin.func") // one on its way into the socket could take it
	p.pc.Pause()
	other, err := fd.PacketConn(p.pc.Descriptor())
	must(t, err)
	p.send("other")
	must(t, other.SetReadDeadline(time.Now().Add(patience)))
	b := make([]byte, 100)
	n, _, err := other.ReadFrom(b)
	must(t, err)
	expectEqual(t, "the other process reads", string(b[:n]), "other")
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
	stopped := beginStop(p.u)
	p.expect("", net.ErrClosed)
	_, err = p.pc.WriteToUDPAddrPort([]byte("late"), p.client.LocalAddr().(*net.UDPAddr).AddrPort())
	must(t, err)
	expectWaits(t, stopped)
	must(t, p.pc.Close())
	must(t, <-stopped)
	expectIs(t, "another Close", p.pc.Close(), net.ErrClosed)
}

func TestListenPacket_RefusalNamesTheRemedy(t *testing.T) {
	p := newPacketPair(t)
	path := filepath.Join(t.TempDir(), "gram")
	gram, err := p.u.ListenPacket(t.Context(), "unixgram", path)
	must(t, err)
	_, _, err = gram.ReadFromUDPAddrPort(nil)
	expectIs(t, "ReadFromUDPAddrPort", err, syscall.ENOTSUP)
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
	_, err = os.Lstat(path)
	expectIs(t, "the path after Close", err, os.ErrNotExist)
}

// TestPacketConn_IsCutAtTheDeadline if the program does not close it, and counted.
func TestPacketConn_IsCutAtTheDeadline(t *testing.T) {
	p := newPacketPair(t, core.WithDrainTimeout(1))
	must(t, p.u.Ready())
	err := p.u.Stop(t.Context())
	expectIs(t, "Stop", err, core.ErrCut)
	expectError(t, err, "1 datagram socket")
	expectEqual(t, "cut", p.u.Status().Ledger.Cut, core.Remaining{Sockets: 1})
	expectIs(t, "Close", p.pc.Close(), net.ErrClosed)
}
