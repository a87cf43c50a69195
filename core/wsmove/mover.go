package wsmove

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// mover moves the connections of one Handler.
type mover struct {
	name    string // in both processes
	handler http.Handler
	core    process
	log     *slog.Logger

	settleTime, gatherTime, spread time.Duration
	handshakeTime                  time.Duration // handshakeLimit
	gateTime                       time.Duration // gateLimit
	goodbyeTime                    time.Duration // goodbyeLimit
	quiet                          int           // quietTicks

	slots chan struct{} // of handlers between their beginning and the end of the handshake

	steps sync.Mutex // held while they are taken together

	mu      sync.Mutex
	conns   map[*conn]struct{} // those whose handshake is over, and that have neither gone nor moved
	gates   map[uint64]*gate
	watched <-chan struct{} // the drain that is waited for
	left    <-chan struct{} // the drain in which the common steps have begun
}

// watch waits for the drain. It is called for each connection, because there can be another drain after one that was
// undone.
func (m *mover) watch() {
	drain := m.core.draining()
	m.mu.Lock()
	defer m.mu.Unlock()
	if drain == nil || m.watched == drain {
		return
	}
	m.watched = drain
	go func() {
		<-drain
		m.leaveAll(drain)
	}()
}

// leaving returns the drain that is under way; nil if there is none.
func (m *mover) leaving() <-chan struct{} {
	if d := m.core.draining(); d != nil && isClosed(d) {
		return d
	}
	return nil
}

// add takes in a connection whose handshake is over, unless the program has closed it meanwhile. Close removes it, but
// can have come before.
func (m *mover) add(c *conn) {
	m.watch() // it may have been taken back after the drain was undone
	m.mu.Lock()
	if isClosed(c.closed) {
		m.mu.Unlock()
		return
	}
	m.conns[c] = struct{}{}
	drain := m.core.draining()
	late := drain != nil && m.left == drain
	m.mu.Unlock()
	if late {
		m.leaveLate(c, drain)
	}
}

func (m *mover) remove(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
}

// all returns the connections that there are when a drain begins. For those that come later add sees to it.
func (m *mover) all(drain <-chan struct{}) (list []*conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left = drain
	for c := range m.conns {
		list = append(list, c)
	}
	return list
}

// leaveLate is for a connection that has come too late for the common steps.
func (m *mover) leaveLate(c *conn, drain <-chan struct{}) {
	if c.s.staysIn(drain) != "" && !m.core.stopping() {
		go m.dismiss(c, drain)
		return
	}
	go m.leaveAlone(c, drain)
}

// goesOn is for a connection whose drain was undone. Another one can have begun.
func (m *mover) goesOn(c *conn) {
	m.watch()
	m.mu.Lock()
	drain := m.core.draining()
	late := drain != nil && m.left == drain
	m.mu.Unlock()
	if late {
		m.leaveLate(c, drain)
	}
}

// undoneLook is how often a connection that waits for its moment looks whether the drain goes on.
const undoneLook = 100 * time.Millisecond

// dismiss has a client reconnect, at a moment of its own.
func (m *mover) dismiss(c *conn, drain <-chan struct{}) {
	if m.spread > 0 {
		moment := time.Now().Add(rand.N(m.spread)) //nolint:gosec // no secret
		look := time.NewTimer(0)
		defer look.Stop()
		for left := time.Until(moment); left > 0 && m.leaving() == drain; left = time.Until(moment) {
			look.Reset(min(left, undoneLook))
			select {
			case <-c.closed:
				return
			case <-look.C:
			}
		}
	}
	if m.leaving() != drain {
		m.goesOn(c)
		return
	}
	m.leaveAlone(c, drain)
}
