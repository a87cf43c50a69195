package core

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/sdnotify"
	"github.com/gracex-go/gracex/core/internal/text"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// listener is an open listener of this generation. It owns the listening socket
// and a duplicate of it for the next generation, and closes both.
type listener struct {
	net.Listener
	u      *Upgrader     // valid once bound
	bound  chan struct{} // closed when an Upgrader has it
	origin conns.Origin  // the next generation claims it by these words
	dup    atomic.Int64  // the descriptor for that one; -1: it can't be passed on

	overlap *overlap // the Listener, for an address that overlaps with one of the old process; nil otherwise

	inherited bool
	foreign   bool        // a service manager has opened it
	path      fs.FileInfo // of a unix socket's path when the listener was opened; nil without

	served atomic.Bool // the accept loop is gracex's own, which can wait: not the program's

	paused    pause        // while the next process is on probation
	swept     atomic.Bool  // Accept ends at its deadline
	accepting sync.RWMutex // held for reading while a connection is on its way into the table
	closing   atomic.Bool
	closed    chan struct{}
}

// isPlain reports whether no code of the program's sees the sockets that it accepts.
func (l *listener) isPlain() bool {
	switch l.Listener.(type) {
	case *net.TCPListener, *net.UnixListener, *overlap:
		return true
	}
	return false
}

// Accept waits until the generation is ready, then for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.bound:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	select {
	case <-l.u.phase.accepting:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		select {
		case <-l.paused.over():
		case <-l.closed:
			return nil, net.ErrClosed
		}
		c, err := l.accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if l.swept.Load() {
				return nil, net.ErrClosed
			}
			continue // paused
		}
		return c, err
	}
}

func (l *listener) accept() (net.Conn, error) {
	l.accepting.RLock()
	defer l.accepting.RUnlock()
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.origin.Network == networkControl {
		return c, nil // none of the program's
	}
	if tc, ok := c.(*net.TCPConn); ok && l.u.cfg.keepAlive != nil {
		_ = tc.SetKeepAliveConfig(*l.u.cfg.keepAlive) // of a connection that is gone already
	}
	return l.u.conns.Track(c, &l.origin, conns.Raw), nil
}

// Close closes the listener for good: the next generation does not get it.
func (l *listener) Close() error {
	unlink := true
	if isClosed(l.bound) {
		l.u.passing.remove(l)
		l.u.keepListeners()
		st := l.u.State()
		unlink = st != StateProbation && st != StateDraining // else it is the next generation's
	}
	err := l.close(unlink)
	if isClosed(l.bound) { // by an Upgrader that was made meanwhile
		l.u.passing.remove(l)
	}
	return err
}

// close closes both descriptors, and removes a unix socket's path if unlink says
// so and the path still is this listener's. The first call counts, and no other waits for it.
func (l *listener) close(unlink bool) error {
	if l.closing.Swap(true) {
		return net.ErrClosed
	}
	close(l.closed)
	if l.overlap != nil {
		l.overlap.release(l)
	}
	if dup := l.dup.Swap(-1); dup >= 0 {
		_ = fd.Close(int(dup))
	}
	if unlink && (!l.inherited || isClosed(l.bound) && l.u.inherited.committed.Load()) {
		l.unlink()
	}
	return l.Listener.Close()
}

// unlink removes a unix socket's path if it still is this listener's.
func (l *listener) unlink() {
	if l.path != nil {
		removePath(l.file(), l.path)
	}
}

// file is a unix socket's path. The control socket's can be another one than the socket was bound to.
func (l *listener) file() string {
	if l.origin.Network == networkControl {
		return l.origin.Address
	}
	return l.Addr().String()
}

// setNonblock makes the socket non-blocking again: another process that has it, a plain program or a foreign
// master that uses os.File.Fd, can have changed that. The program can close the listener at the same time, so
// the duplicate's number, which another file can have by then, is not used.
func (l *listener) setNonblock() {
	rc, err := l.SyscallConn()
	if err == nil {
		_ = rc.Control(func(s uintptr) { _ = fd.SetNonblock(int(s)) })
	}
}

// bind gives the listener to u. It reports false if u takes no more.
func (l *listener) bind(u *Upgrader) bool {
	l.u = u
	close(l.bound)
	if !u.passing.add(l) {
		return false
	}
	if l.overlap != nil {
		l.overlap.begin(u, l)
	}
	if isClosed(l.closed) { // before anybody had it
		u.passing.remove(l)
		if l.overlap != nil {
			l.overlap.release(l)
		}
	}
	return true
}

// settle returns when every connection that Accept took is in the table. It is
// called after close.
func (l *listener) settle() {
	l.accepting.Lock()
	defer l.accepting.Unlock()
}

// waits reports whether the accept loop of a listener can wait for a way back. A program's own ends
// when the process drains, as the program was told, and may rely on that.
func (l *listener) waits() bool { return l.served.Load() || l.origin.Network == networkControl }

// duplicate, describe and rank are for passing it on.

func (l *listener) duplicate() int { return int(l.dup.Load()) }

// passOn passes dup on from here on, and not the descriptor that it has been.
func (l *listener) passOn(dup int) {
	if old := l.dup.Swap(int64(dup)); old >= 0 {
		_ = fd.Close(int(old))
	} else if mine := l.dup.Swap(-1); mine >= 0 { // it was closed meanwhile
		_ = fd.Close(int(mine))
	}
}

func (l *listener) describe() wire.Listener {
	say := wire.Listener{Network: l.origin.Network, Address: l.origin.Address, Foreign: l.foreign}
	if l.overlap != nil {
		if words := l.overlap.words(); words != nil {
			say = *words
		}
	}
	if runs := l.u.runs.count(); runs > 1 && l.origin.Network != networkControl {
		say.Runs = runs
	}
	return say
}

func (l *listener) rank() int {
	if l.origin.Network == networkControl {
		return rankControl
	}
	return rankListener
}

// SyscallConn gives access to the listening socket's options.
func (l *listener) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := l.Listener.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.ENOTSUP
}

// networkFD is the network of a listener that ListenFD took: its address is the
// descriptor's number.
const networkFD = "fd"

// newListener makes a listener of an open socket. dup is its duplicate, or -1
// to make one.
func newListener(ln net.Listener, dup int, network, address string) (*listener, error) {
	if len(network) > text.MaxName || len(address) > text.MaxAddress {
		return nil, fmt.Errorf("the network and the address have %d and %d bytes, and %d and %d at most", len(network), len(address), text.MaxName, text.MaxAddress)
	}
	l := &listener{
		Listener: ln, origin: conns.Origin{Network: network, Address: address, Bound: ln.Addr().String()},
		bound: make(chan struct{}), closed: make(chan struct{}),
	}
	l.overlap, _ = ln.(*overlap)
	l.dup.Store(int64(dup))
	if ul, ok := ln.(*net.UnixListener); ok {
		ul.SetUnlinkOnClose(false)
		// The path of a descriptor that came from outside is its owner's.
		if fi, err := os.Lstat(l.file()); err == nil && network != networkFD {
			l.path = fi
		}
	}
	if dup < 0 {
		sc, ok := ln.(syscall.Conn)
		if !ok {
			return l, nil
		}
		rc, err := sc.SyscallConn()
		if err != nil {
			return nil, err
		}
		dup, err = fd.Dup(rc)
		if err != nil && !errors.Is(err, fd.ErrUnsupported) {
			return nil, err
		}
		l.dup.Store(int64(dup))
	}
	return l, nil
}

// opening opens a listener, beside inherited ones whose addresses overlap with its own.
func opening(ctx context.Context, network, address string) opener {
	return func(h *inheritance) (net.Listener, error) {
		if len(h.unclaimed) > 0 && strings.HasPrefix(network, "tcp") {
			if ln, err := h.openOverlapping(ctx, network, address); ln != nil || err != nil {
				return ln, err
			}
		}
		return open(ctx, network, address)
	}
}

// open opens a listener, and says in the error what to do about it.
func open(ctx context.Context, network, address string) (net.Listener, error) {
	switch {
	case network == "unix" && address == "":
		return nil, errors.New("a unix socket needs a path")
	case network != "tcp" && network != "tcp4" && network != "tcp6" && network != "unix":
		return nil, errors.New("the network must be tcp, tcp4, tcp6 or unix")
	}
	return openWith(ctx, net.ListenConfig{}, network, address)
}

// openWith is open for a network and an address that are right.
func openWith(ctx context.Context, lc net.ListenConfig, network, address string) (net.Listener, error) {
	listen := func() (net.Listener, error) { return lc.Listen(ctx, network, address) }
	if network == "unix" {
		ln, err := bindUnix(network, address, listen)
		return ln, remedyFor(err, network, address)
	}
	ln, err := listen()
	return ln, remedyFor(err, network, address)
}

// remedyFor says in the error what to do about it; nil stays nil.
func remedyFor(err error, network, address string) error {
	unix := network == "unix" || network == "unixgram"
	switch {
	case err != nil && !unix && strings.Contains(address, "/"):
		return fmt.Errorf("%w; the path of a unix socket needs the network unix, as in Upgrader.Listen(ctx, %q, %q)",
			err, "unix", address)
	case errors.As(err, new(*net.AddrError)):
		return fmt.Errorf("%w; write host:port, or :port for every address of the machine", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; %s", err, inUse(network, address))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w; no interface of this machine has that address", err)
	case errors.Is(err, syscall.EAFNOSUPPORT) && unix:
		return fmt.Errorf("%w; %s", err, sdnotify.MoreFamilies)
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("%w; this machine has no such addresses, or RestrictAddressFamilies= of the systemd unit lacks AF_INET and AF_INET6", err)
	case errors.Is(err, fs.ErrPermission) && unix:
		return fmt.Errorf("%w; the directory must be writable for this user", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; ports below 1024 need the capability CAP_NET_BIND_SERVICE, or choose a higher one", err)
	case errors.Is(err, fs.ErrNotExist) && unix:
		return fmt.Errorf("%w; the directory does not exist: create it", err)
	}
	return err
}

// openFD makes a listener of descriptor s, which is closed.
func (st *startup) openFD(s int) (net.Listener, error) {
	if (st.graceful || st.kept) && (s == st.control || slices.Contains(st.files, s)) || st.start.Has(s) {
		return nil, fmt.Errorf("descriptor %d was not passed by this number when the first generation started, or is in use already", s)
	}
	if err := fd.CheckListener(s); err != nil {
		return nil, fmt.Errorf("%w; pass a listening socket", err)
	}
	ln, err := fd.Listener(s)
	if err == nil {
		err = fd.Close(s)
	}
	return ln, err
}
