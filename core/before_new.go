package core

import (
	"context"
	"net"
	"strconv"
	"sync"
)

// beforeNew is what this process has before its first Upgrader: what the old process
// handed over, and the listeners that were opened with Listen.
var beforeNew beforeNewState

type beforeNewState struct {
	mu        sync.Mutex
	inherited *inheritance // nil until somebody looks
	err       error
	taken     bool // by the first Upgrader
	waiting   []*listener
}

// lookLocked takes over what boot found, once.
func (e *beforeNewState) lookLocked() (*inheritance, error) {
	switch {
	case e.taken:
		return &inheritance{}, nil
	case e.inherited == nil && e.err == nil:
		e.inherited, e.err = inherit(boot)
	}
	return e.inherited, e.err
}

// take gives everything to an Upgrader. An error stays: every later one gets it
// too, because the process is not what it claims to be.
func (e *beforeNewState) take() (*inheritance, []*listener, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h, err := e.lookLocked()
	if err != nil {
		return nil, nil, err
	}
	waiting := e.waiting
	e.taken, e.waiting = true, nil
	return h, waiting, nil
}

// Listen is like [Upgrader.Listen] but can be called before [New]. Use it for a listener that is
// given to an adapter, or that is wrapped first. The listener belongs to the Upgrader that this
// process has or makes next, and then to the next generation. It accepts nothing before Ready.
func Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return beforeNew.listen(network, address, opening(ctx, network, address))
}

// ListenFD is like [Upgrader.ListenFD] but can be called before [New]. Use it for a program that
// learns its socket's descriptor from a flag, as under circus.
func ListenFD(s int) (net.Listener, error) {
	return beforeNew.listen(networkFD, strconv.Itoa(s), func(*inheritance) (net.Listener, error) { return boot.openFD(s) })
}

// listen gives the listener to the Upgrader that there is, or to the next one.
func (e *beforeNewState) listen(network, address string, open opener) (net.Listener, error) {
	if u := running.Load(); u != nil && !isClosed(u.phase.done) {
		return u.listen(network, address, open)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	h, err := e.lookLocked()
	if err != nil {
		return nil, err
	}
	l, err := h.claimOr(open, network, address)
	if err != nil {
		return nil, err
	}
	e.waiting = append(e.waiting, l)
	return l, nil
}
