package core

import (
	"net"
	"sync"
	"sync/atomic"
)

// gate is the listener of the program's own http.Server: it never yields a
// connection. It notices Close, and Shutdown the first time, which close it, and holds them up
// until main may go on, because net/http waits for its Accept. Each later Shutdown is noticed by a
// function that is registered with the server.
type gate struct {
	addr    net.Addr
	entered chan struct{}   // closed at the first Accept
	goesOn  <-chan struct{} // closed when main may go on
	onClose func()

	enter  sync.Once
	closed atomic.Bool // at least once
	told   atomic.Bool // the next Close is the drain's own
	hooked atomic.Bool // and so is the next call of shutdown
}

func newGate(addr net.Addr, goesOn <-chan struct{}, onClose func()) *gate {
	return &gate{addr: addr, entered: make(chan struct{}), goesOn: goesOn, onClose: onClose}
}

// Accept blocks until main may go on.
func (g *gate) Accept() (net.Conn, error) {
	g.enter.Do(func() { close(g.entered) })
	<-g.goesOn
	return nil, net.ErrClosed
}

// Close is called by the program's Shutdown and Close, and by net/http for a server
// that can't be served, before it has entered.
func (g *gate) Close() error {
	g.closed.Store(true)
	if isClosed(g.entered) && !g.told.Swap(false) {
		g.onClose()
	}
	return nil
}

// shutdown runs in every Shutdown of the server.
func (g *gate) shutdown() {
	if !g.hooked.Swap(false) {
		g.onClose()
	}
}

// expect is called before the drain's own Shutdown.
func (g *gate) expect() {
	g.told.Store(true)
	g.hooked.Store(true)
}

// Addr returns the address of the listener that the gate stands for.
func (g *gate) Addr() net.Addr { return g.addr }
