package wsmove

import (
	"sync"
	"time"
)

// gate holds back those that have come together until each of them has come, and would read. So a room is complete
// before anybody says something in it.
type gate struct {
	mu   sync.Mutex
	left int
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
		go func() {
			sleep(m.gatherTime+time.Duration(n)*gatherEach, g.open)
			if missing := g.force(); missing > 0 {
				m.log.Info("not all WebSockets that were announced have come in time; the others go on", "missing", missing)
			}
		}()
	}
	return g
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
	if g.left > 0 {
		g.left--
		if g.left == 0 {
			close(g.open)
		}
	}
}

// force opens the gate, and returns how many have not come.
func (g *gate) force() (missing int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	missing = g.left
	if g.left > 0 {
		g.left = 0
		close(g.open)
	}
	return missing
}

// wait returns when the gate is open, or the program has closed its connection.
func (g *gate) wait(closed <-chan struct{}) {
	select {
	case <-g.open:
	case <-closed:
	}
}
