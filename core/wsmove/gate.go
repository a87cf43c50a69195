package wsmove

import (
	"sync"
	"time"
)

// gate holds back those that have come together until each of them has come, and would read. So a room is complete
// before anybody says something in it.
type gate struct {
	mu   sync.Mutex
	left int // how many have not come
	open chan struct{}
}

// gateOf returns the gate of a batch of n connections. The first one opens it after a while.
func (m *mover) gateOf(batch uint64, n int) *gate {
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.gates[batch]
	if g == nil {
		g = &gate{left: n, open: make(chan struct{})}
		m.gates[batch] = g
		go m.tend(batch, g, m.gatherTime+time.Duration(n)*gatherEach)
	}
	return g
}

// tend opens a gate after a while, and forgets it when nobody is expected any more.
func (m *mover) tend(batch uint64, g *gate, wait time.Duration) {
	sleep(wait, g.open)
	forget := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.gates, batch)
	}
	missing := g.force()
	if missing == 0 {
		forget()
		return
	}
	m.log.Info("not all WebSockets that were announced have come in time; the others go on", "missing", missing)
	time.AfterFunc(m.gateTime, forget)
}

func (m *mover) openGates() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.gates {
		g.force()
	}
}

// arrive is called once for each of them.
func (g *gate) arrive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left--; g.left <= 0 {
		g.openLocked()
	}
}

// force opens the gate, and returns how many have not come.
func (g *gate) force() (missing int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.openLocked()
	return max(g.left, 0)
}

func (g *gate) openLocked() {
	if !isClosed(g.open) {
		close(g.open)
	}
}

// wait returns when the gate is open, or the program has closed its connection.
func (g *gate) wait(closed <-chan struct{}) {
	select {
	case <-g.open:
	case <-closed:
	}
}
