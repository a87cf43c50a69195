package core

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// PacketConn is a datagram socket, UDP or unixgram, that passes from generation to generation.
// Make it with Upgrader.ListenPacket. It is a net.PacketConn and has the methods of net.UDPConn
// that servers use. Any number of goroutines may use it.
//
// Every datagram is read by one process, and none is lost between two. Both processes have the
// same socket, and the old one reads until the new one does. Reads wait for Ready. While a new
// process is on probation, reads in the old process wait, and they continue after a rollback.
// They return net.ErrClosed when this process has drained everything else.
//
// Writes work until Close, so that the program can answer what it has read. The drain waits for
// Close until its deadline. Call Close when all pending replies have been sent.
type PacketConn struct {
	u    *Upgrader // valid once bound
	conn net.PacketConn
	udp  *net.UDPConn // conn, if it is one
	say  wire.Listener
	dup  int         // for the next generation; -1: it can't be passed on
	path fs.FileInfo // of a unixgram socket's path when it was opened; nil without

	inherited bool
	paused    pause // while the next process is on probation

	mu    sync.Mutex
	until time.Time     // the program's read deadline
	end   time.Time     // from when on reads return net.ErrClosed; zero: it is not known
	moved chan struct{} // closed and replaced when one of these changes

	closing sync.Once
}

var _ net.PacketConn = (*PacketConn)(nil)

// ListenPacket returns the datagram socket for (network, address) that the old process handed
// over, or opens a new one. The network is "udp", "udp4", "udp6" or "unixgram". Port 0 keeps the
// port that the first generation was given. The path of a unixgram socket stays through upgrades
// and is removed after a stop. A socket that a crashed process left behind is replaced.
func (u *Upgrader) ListenPacket(ctx context.Context, network, address string) (*PacketConn, error) {
	return u.listenPacket(network, address, func() (net.PacketConn, error) { return openPacket(ctx, network, address) })
}

// AddPacketConn is like ListenPacket for a socket that the program has opened itself, with
// options of its own. The next generation finds it by PacketConn, with the network and the
// address of pc's LocalAddr. The returned PacketConn owns pc.
func (u *Upgrader) AddPacketConn(pc net.PacketConn) (*PacketConn, error) {
	at := pc.LocalAddr()
	return u.bindPacket(newPacketConn(pc, -1, at.Network(), at.String()))
}

// PacketConn returns the datagram socket for (network, address) that the old process handed over.
// It opens none. The error is fs.ErrNotExist if the old process passed no such socket.
func (u *Upgrader) PacketConn(network, address string) (*PacketConn, error) {
	return u.listenPacket(network, address, func() (net.PacketConn, error) { return nil, errNotPassed })
}

func (u *Upgrader) listenPacket(network, address string, open func() (net.PacketConn, error)) (*PacketConn, error) {
	if u.State() > StateProbation {
		return nil, ErrStopped
	}
	u.inherited.mu.Lock()
	in := u.inherited.claim(wire.KindPacket, network, address)
	u.inherited.mu.Unlock()
	if in == nil {
		pc, err := open()
		if err != nil {
			return nil, listenError(network, address, err)
		}
		return u.bindPacket(newPacketConn(pc, -1, network, address))
	}
	c, err := newPacketConn(in.pc, in.s, network, address)
	if err == nil {
		c.inherited = true
		if c.say.Foreign = in.Foreign; in.Foreign {
			c.path = nil
		}
	}
	return u.bindPacket(c, err)
}

// bindPacket gives the socket to u.
func (u *Upgrader) bindPacket(c *PacketConn, err error) (*PacketConn, error) {
	if err != nil {
		return nil, err
	}
	c.u = u
	if !u.conns.AddSocket(c) || !u.passing.add(c) {
		_ = c.Close()
		return nil, ErrStopped
	}
	u.keepListeners()
	u.log.Debug("listening", "network", c.say.Network, "address", c.LocalAddr().String(), "inherited", c.inherited)
	return c, nil
}

// newPacketConn makes one of an open socket, and after an error closes that. dup is its duplicate, or -1 to make
// one.
func newPacketConn(pc net.PacketConn, dup int, network, address string) (*PacketConn, error) {
	c := &PacketConn{
		conn: pc, dup: dup, say: wire.Listener{Kind: wire.KindPacket, Network: network, Address: address},
		moved: make(chan struct{}),
	}
	c.udp, _ = pc.(*net.UDPConn) // nil otherwise
	if at, ok := pc.LocalAddr().(*net.UnixAddr); ok {
		c.path, _ = os.Lstat(at.Name)
	}
	if dup >= 0 {
		return c, nil
	}
	rc, err := c.SyscallConn()
	if err == nil {
		c.dup, err = fd.Dup(rc)
	}
	if errors.Is(err, fd.ErrUnsupported) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	if err != nil {
		_ = pc.Close()
		return nil, err
	}
	return c, nil
}

// openPacket opens a datagram socket, and says in the error what to do about it.
func openPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	switch {
	case network == "unixgram" && address == "":
		return nil, errors.New("a unixgram socket needs a path")
	case network != "udp" && network != "udp4" && network != "udp6" && network != "unixgram":
		return nil, errors.New("the network must be udp, udp4, udp6 or unixgram")
	}
	var lc net.ListenConfig
	listen := func() (net.PacketConn, error) { return lc.ListenPacket(ctx, network, address) }
	if network == "unixgram" {
		pc, err := bindUnix(network, address, listen)
		return pc, remedyFor(err, network, address)
	}
	pc, err := listen()
	return pc, remedyFor(err, network, address)
}

// duplicate, describe and rank are for passing it on.

func (c *PacketConn) duplicate() int          { return c.dup }
func (c *PacketConn) describe() wire.Listener { return c.say }
func (c *PacketConn) rank() int               { return rankOther }

// read runs a read of the socket when it is this process's turn.
func (c *PacketConn) read(f func() error) error {
	for {
		if err := c.awaitResume(); err != nil {
			return err
		}
		err := f()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		c.mu.Lock()
		ends, late := !c.end.IsZero(), passed(c.until)
		c.mu.Unlock()
		switch {
		case ends:
			return c.failed("read", net.ErrClosed)
		case late:
			return err
		}
		// Paused, or the deadline was moved.
	}
}

// awaitResume waits until this process may read.
func (c *PacketConn) awaitResume() error {
	for {
		c.mu.Lock()
		ended, until, moved := passed(c.end), c.until, c.moved
		c.mu.Unlock()
		gate := (<-chan struct{})(c.u.phase.accepting)
		if isClosed(gate) {
			gate = c.paused.over()
		}
		switch {
		case ended:
			return c.failed("read", net.ErrClosed)
		case isClosed(gate):
			return nil
		case passed(until):
			return c.failed("read", os.ErrDeadlineExceeded)
		}
		var late <-chan time.Time
		if !until.IsZero() {
			late = time.After(time.Until(until))
		}
		select {
		case <-gate:
		case <-moved:
		case <-late:
		}
	}
}

// passed reports whether a time that is set has come.
func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (c *PacketConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: c.say.Network, Source: c.LocalAddr(), Err: err}
}

// ReadFrom reads one datagram, as net.PacketConn describes.
func (c *PacketConn) ReadFrom(b []byte) (n int, addr net.Addr, err error) {
	err = c.read(func() (err error) { n, addr, err = c.conn.ReadFrom(b); return err })
	return n, addr, err
}

// ReadFromUDPAddrPort is like the method of net.UDPConn and allocates nothing. If the socket is
// not a UDP socket, the error is syscall.ENOTSUP.
func (c *PacketConn) ReadFromUDPAddrPort(b []byte) (n int, addr netip.AddrPort, err error) {
	if c.udp == nil {
		return 0, addr, c.failed("read", syscall.ENOTSUP)
	}
	err = c.read(func() (err error) { n, addr, err = c.udp.ReadFromUDPAddrPort(b); return err })
	return n, addr, err
}

// ReadMsgUDPAddrPort is like the method of net.UDPConn. If the socket is not a UDP socket, the
// error is syscall.ENOTSUP.
func (c *PacketConn) ReadMsgUDPAddrPort(b, oob []byte) (n, oobn, flags int, addr netip.AddrPort, err error) {
	if c.udp == nil {
		return 0, 0, 0, addr, c.failed("read", syscall.ENOTSUP)
	}
	err = c.read(func() (err error) { n, oobn, flags, addr, err = c.udp.ReadMsgUDPAddrPort(b, oob); return err })
	return n, oobn, flags, addr, err
}

// WriteTo writes one datagram, as net.PacketConn describes.
func (c *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) { return c.conn.WriteTo(b, addr) }

// WriteToUDPAddrPort is like the method of net.UDPConn. If the socket is not a UDP socket, the
// error is syscall.ENOTSUP.
func (c *PacketConn) WriteToUDPAddrPort(b []byte, addr netip.AddrPort) (int, error) {
	if c.udp == nil {
		return 0, c.failed("write", syscall.ENOTSUP)
	}
	return c.udp.WriteToUDPAddrPort(b, addr)
}

// WriteMsgUDPAddrPort is like the method of net.UDPConn. If the socket is not a UDP socket, the
// error is syscall.ENOTSUP.
func (c *PacketConn) WriteMsgUDPAddrPort(b, oob []byte, addr netip.AddrPort) (n, oobn int, err error) {
	if c.udp == nil {
		return 0, 0, c.failed("write", syscall.ENOTSUP)
	}
	return c.udp.WriteMsgUDPAddrPort(b, oob, addr)
}

// LocalAddr returns the address that the socket is bound to.
func (c *PacketConn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// SetDeadline sets the read and the write deadline.
func (c *PacketConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time at which reads end with os.ErrDeadlineExceeded. It also ends
// reads that wait because the other process reads. The zero time means no deadline.
func (c *PacketConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = t
	c.stirLocked()
	if !c.end.IsZero() || !isClosed(c.paused.over()) {
		return nil // resume sets it
	}
	return c.conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the time at which writes end with os.ErrDeadlineExceeded. The zero time
// means no deadline.
func (c *PacketConn) SetWriteDeadline(t time.Time) error { return c.conn.SetWriteDeadline(t) }

// SyscallConn gives access to the socket's options. A read through the RawConn ends with
// os.ErrDeadlineExceeded when the other process starts to read.
func (c *PacketConn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.ENOTSUP
}

// Close closes the socket in this process. If Close is called before a drain, the next generation
// does not get the socket.
func (c *PacketConn) Close() error {
	st := c.u.State()
	c.u.passing.remove(c)
	c.u.keepListeners()
	return c.close(st != StateProbation && st != StateDraining) // else the path is the next generation's
}

func (c *PacketConn) close(unlink bool) error {
	err := c.failed("close", net.ErrClosed)
	c.closing.Do(func() {
		c.endAt(conns.LongAgo)
		if unlink && c.path != nil && (!c.inherited || c.u.inherited.committed.Load()) {
			removePath(c.LocalAddr().String(), c.path)
		}
		if c.dup >= 0 {
			_ = fd.Close(c.dup)
		}
		err = c.conn.Close()
		c.u.conns.RemoveSocket(c)
	})
	return err
}

// pause makes the reads wait until resume.
func (c *PacketConn) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused.begin()
	_ = c.conn.SetReadDeadline(conns.LongAgo)
}

// resume undoes pause.
func (c *PacketConn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.end.IsZero() {
		_ = c.conn.SetReadDeadline(c.until)
	}
	c.paused.end()
	c.stirLocked()
}

// endAt ends the reads for good at a time. What is there to be read is read until then.
func (c *PacketConn) endAt(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = t
	_ = c.conn.SetReadDeadline(t)
	c.paused.end()
	c.stirLocked()
}

func (c *PacketConn) stirLocked() {
	close(c.moved)
	c.moved = make(chan struct{})
}
