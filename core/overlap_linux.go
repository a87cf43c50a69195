package core

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
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

const (
	// overlapLinger is how long a listener still accepts after new connections go to the other one: what is
	// queued, and whose handshake is not done.
	overlapLinger = time.Second
	// acceptWait bounds the wait for a connection that the kernel has announced: another process may
	// have taken it.
	acceptWait = 5 * time.Millisecond
)

// openOverlapping opens the address if listeners that were inherited overlap with it. It returns nil without
// an error if none does. The caller holds h.mu.
func (h *inheritance) openOverlapping(ctx context.Context, network, address string) (net.Listener, error) {
	want, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, nil //nolint:nilerr // opening it says so
	}
	narrower := []*inherited{}
	for _, in := range h.unclaimed {
		at, ok := in.addr().(*net.TCPAddr)
		if !ok || at.Port != want.Port || in.Foreign {
			continue
		}
		switch every := len(want.IP) == 0 || want.IP.IsUnspecified(); {
		case every && !at.IP.IsUnspecified() && inFamily(network, at.IP):
			narrower = append(narrower, in)
		case !every && at.IP.IsUnspecified() && in.takes(want.IP):
			return h.standIn(in, want)
		}
	}
	if len(narrower) == 0 {
		return nil, nil
	}
	return h.widen(ctx, network, address, narrower)
}

// inFamily reports whether a listener for the network on all interfaces takes what is for ip.
func inFamily(network string, ip net.IP) bool {
	switch network {
	case "tcp4":
		return ip.To4() != nil
	case "tcp6":
		return ip.To4() == nil
	}
	return true
}

// takes reports whether the listener, which is on all interfaces, takes what is for ip.
func (in *inherited) takes(ip net.IP) bool {
	if ip.To4() == nil {
		return in.addr().(*net.TCPAddr).IP.To4() == nil
	}
	return !fd.IPv6Only(in.s)
}

// widen opens a listener on all interfaces beside inherited ones that are on one each.
func (h *inheritance) widen(ctx context.Context, network, address string, narrower []*inherited) (net.Listener, error) {
	for _, in := range narrower {
		if err := fd.ReusePort(in.s, true); err != nil {
			return nil, err
		}
		defer func() { _ = fd.ReusePort(in.s, false) }() // no other program is to join them
	}
	ln, err := openWith(ctx, net.ListenConfig{Control: reusePort(true)}, network, address)
	if err != nil {
		return nil, err
	}
	o, err := newOverlap(ln.Addr(), ln)
	if err != nil {
		return nil, err
	}
	return o, h.addAsides(o, narrower)
}

// addAsides makes the listener accept from narrower ones, too, which were inherited.
func (h *inheritance) addAsides(o *overlap, narrower []*inherited) error {
	for _, in := range narrower {
		say := in.Listener
		say.Aside = true
		o.asides = append(o.asides, &namedFile{say, in.s})
		h.takeOut(slices.Index(h.unclaimed, in))
		if err := o.add(in.ln); err != nil {
			_ = o.Close()
			return err
		}
	}
	return nil
}

// withAsides returns the listener of an inherited one that was claimed, together with those that the
// old process had beside it. The caller holds h.mu.
func (h *inheritance) withAsides(in *inherited) (net.Listener, error) {
	at, ok := in.addr().(*net.TCPAddr)
	if !ok {
		return in.ln, nil
	}
	var asides []*inherited
	for _, other := range h.unclaimed {
		if o, ok := other.addr().(*net.TCPAddr); ok && other.Aside && o.Port == at.Port {
			asides = append(asides, other)
		}
	}
	if len(asides) == 0 {
		return in.ln, nil
	}
	o, err := newOverlap(at, in.ln)
	if err != nil {
		return nil, err
	}
	return o, h.addAsides(o, asides)
}

// standIn makes the listener for an address of an inherited one that is on all interfaces.
func (h *inheritance) standIn(in *inherited, want *net.TCPAddr) (net.Listener, error) {
	o, err := newOverlap(want, in.ln)
	if err != nil {
		return nil, err
	}
	o.only, o.standsIn = want.IP, &in.Listener
	h.takeOut(slices.Index(h.unclaimed, in))
	_ = fd.Close(in.s)
	return o, nil
}

// reusePort is for a net.ListenConfig.
func reusePort(on bool) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var rerr error
		err := c.Control(func(s uintptr) { rerr = fd.ReusePort(int(s), on) })
		return errors.Join(err, rerr)
	}
}

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

// errLater: an upgrade is in progress, whose new process has what this one has.
var errLater = errors.New("not now")

// endOverlap settles the listener when the old process is gone.
func (u *Upgrader) endOverlap(l *listener, o *overlap) {
	select {
	case <-u.phase.accepting:
	case <-l.closed:
		return
	case <-u.phase.done:
		return
	}
	if u.seenOff != nil {
		select {
		case <-u.seenOff:
		case <-l.closed:
			return
		}
		if isClosed(u.inherited.old.Aborted) {
			return // it serves again
		}
	}
	for {
		err := u.request(func(lc *lifecycle) error { return lc.settleOverlap(l, o) })
		if err != nil && !errors.Is(err, errLater) && !errors.Is(err, ErrStopped) {
			u.log.Error("the address of the old process stays in use; restart the service to change it", "address", o.addr.String(), "error", err)
		}
		if !errors.Is(err, errLater) {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-l.closed:
			return
		}
	}
}

// settleOverlap leaves one listener.
func (l *lifecycle) settleOverlap(ln *listener, o *overlap) error {
	if l.state() == StateUpgrading || l.outgoing != nil {
		return errLater
	}
	if l.state() != StateCurrent {
		return ErrStopped
	}
	if o.words() == nil {
		return l.u.settleWider(o)
	}
	return l.u.settleNarrower(ln, o)
}

// settleWider ends the narrower listeners. New connections come to the wider one, and what the others
// have queued is accepted before they are closed.
func (u *Upgrader) settleWider(o *overlap) error {
	for _, a := range o.asides {
		if u.passing.remove(a) {
			if err := fd.PassOver(a.dup); err != nil {
				u.log.Warn("connections may be refused while a listener of the old process is closed", "address", a.say.Address, "error", err)
			}
			_ = fd.Close(a.dup)
		}
	}
	u.keepListeners()
	u.log.Info("the old process's listener is closed", "address", o.addr.String())
	time.AfterFunc(overlapLinger, func() { o.leave(0) })
	return nil
}

// settleNarrower opens the listener that the wider one has stood in for, and closes that one later.
func (u *Upgrader) settleNarrower(ln *listener, o *overlap) error {
	wider, err := o.SyscallConn()
	if err != nil {
		return err
	}
	if err := reusePort(true)("", "", wider); err != nil {
		return err
	}
	defer func() { _ = reusePort(false)("", "", wider) }()
	narrower, err := openWith(context.Background(), net.ListenConfig{Control: reusePort(true)}, "tcp", o.addr.String())
	if err != nil {
		return err
	}
	rc, err := narrower.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	dup, err := fd.Dup(rc)
	if err != nil {
		_ = narrower.Close()
		return err
	}
	if err := o.add(narrower); err != nil {
		_ = fd.Close(dup)
		return err
	}
	o.mu.Lock()
	o.standsIn = nil
	o.mu.Unlock()
	ln.passOn(dup)
	u.keepListeners()
	u.log.Info("the old process's listener is closed", "address", o.addr.String())
	time.AfterFunc(overlapLinger, func() { o.leave(1) })
	return nil
}
