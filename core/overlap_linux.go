package core

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/wire"
)

// overlap is the listener for an address that overlaps with one of the old process: the same port, on one
// interface there and on all of them here, or the other way round. The kernel gives a connection to the
// listener that names its address, if both listen.
//
// In both cases the old process's listener takes connections until that process has ended, because it may
// have to serve again. So either this process has a listener for all interfaces and accepts from the
// narrower ones, too. Or it has none of its own yet: the wider one stands in for it, and connections to other
// addresses are closed. When the old process is gone, one listener is left, which settle sees to.
type overlap struct {
	addr net.Addr      // that the program has asked for
	only net.IP        // of which connections are for it, while another listener stands in; nil: all are
	wait *fd.Waiter    // for the sockets
	over chan struct{} // closed when one socket is left

	mu       sync.Mutex
	sockets  []*net.TCPListener // the first one is passed on as the listener
	asides   []*namedFile       // the others, for the next generation
	standsIn *wire.Listener     // the words for the first one, which stands in; nil if it does not
	deadline time.Time
}

// acceptWait bounds the wait for a connection that the kernel has announced: another process may
// have taken it.
const acceptWait = 5 * time.Millisecond

// newOverlap makes one of its first listener, which is closed if that fails.
func newOverlap(addr net.Addr, first net.Listener) (*overlap, error) {
	w, err := fd.NewWaiter()
	if err != nil {
		_ = first.Close()
		return nil, err
	}
	o := &overlap{addr: addr, wait: w, over: make(chan struct{})}
	if err := o.add(first); err != nil {
		_ = o.Close()
		return nil, err
	}
	return o, nil
}

// add makes it accept from one more listener, which it owns from here on.
func (o *overlap) add(ln net.Listener) error {
	l := ln.(*net.TCPListener) // by its address
	rc, err := l.SyscallConn()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sockets = append(o.sockets, l)
	if err == nil {
		err = reusePort(false)("", "", rc)
	}
	if err == nil {
		err = o.wait.Add(rc, int32(len(o.sockets)-1))
	}
	return err
}

// Addr is the address that the program has asked for.
func (o *overlap) Addr() net.Addr { return o.addr }

// Accept returns the next connection for the address.
func (o *overlap) Accept() (net.Conn, error) {
	for !isClosed(o.over) {
		keys, err := o.wait.Wait()
		if isClosed(o.over) {
			break
		}
		if err != nil {
			return nil, closedError(err)
		}
		for _, key := range keys {
			c, err := o.acceptFrom(int(key))
			if c != nil || err != nil {
				return c, err
			}
		}
	}
	return o.first().Accept()
}

// closedError is the error of a closed listener for that of a closed file.
func closedError(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// acceptFrom returns a connection of one of the sockets, or nil if there is none for the address.
func (o *overlap) acceptFrom(key int) (net.Conn, error) {
	o.mu.Lock()
	if isClosed(o.over) {
		o.mu.Unlock()
		return nil, nil
	}
	l := o.sockets[key]
	_ = l.SetDeadline(time.Now().Add(acceptWait))
	o.mu.Unlock()
	c, err := l.Accept()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), err != nil && isClosed(o.over):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if at, ok := c.LocalAddr().(*net.TCPAddr); o.only != nil && ok && !at.IP.Equal(o.only) {
		_ = c.(*net.TCPConn).SetLinger(0) // as if nobody listened
		_ = c.Close()
		return nil, nil
	}
	return c, nil
}

// first is the socket that is left at the end.
func (o *overlap) first() *net.TCPListener {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sockets[0]
}

// SetDeadline is the listener's.
func (o *overlap) SetDeadline(t time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deadline = t
	if isClosed(o.over) {
		return o.sockets[0].SetDeadline(t)
	}
	return o.wait.SetDeadline(t)
}

// SyscallConn is that of the socket which is passed on as the listener.
func (o *overlap) SyscallConn() (syscall.RawConn, error) { return o.first().SyscallConn() }

// Close closes all of it.
func (o *overlap) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.wait.Close()
	var err error
	for _, l := range o.sockets {
		err = l.Close()
	}
	return err
}

// words are what the next generation is told of the listener, if that is not what the program says.
func (o *overlap) words() *wire.Listener {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.standsIn
}

// leave leaves only the socket with the key, which becomes the first.
func (o *overlap) leave(key int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if isClosed(o.over) {
		return
	}
	_ = o.sockets[key].SetDeadline(o.deadline)
	for i, l := range o.sockets {
		if i != key {
			_ = l.Close()
		}
	}
	o.sockets = o.sockets[key : key+1 : key+1]
	close(o.over)
	_ = o.wait.Close()
}

// begin passes on what belongs to the listener, and settles it when the old process is gone.
func (o *overlap) begin(u *Upgrader, l *listener) {
	for _, a := range o.asides {
		if !u.passing.add(a) {
			_ = fd.Close(a.dup)
		}
	}
	u.log.Info("the old process's listener overlaps with this address: both take connections until that process has ended",
		"address", o.addr.String())
	go u.endOverlap(l, o)
}

// release closes what belongs to the listener, which is about to be closed.
func (o *overlap) release(l *listener) {
	for _, a := range o.asides {
		if !isClosed(l.bound) || l.u.passing.remove(a) {
			_ = fd.Close(a.dup)
		}
	}
}
