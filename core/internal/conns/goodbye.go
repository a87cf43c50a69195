package conns

import "sync"

// Goodbye is the channel that tells streams and hijacked connections to say goodbye. A process that drains
// can take the service back; what comes after that has a new channel. Make it with NewGoodbye.
type Goodbye struct {
	mu sync.Mutex
	ch chan struct{}
}

// NewGoodbye makes one that has not begun.
func NewGoodbye() *Goodbye { return &Goodbye{ch: make(chan struct{})} }

// Channel is closed when the drain begins that is the next one from here on, or has begun.
func (g *Goodbye) Channel() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ch
}

// Begin tells all. It is called once before each Renew.
func (g *Goodbye) Begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.ch)
}

// Renew is for those that come from here on.
func (g *Goodbye) Renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ch = make(chan struct{})
}
