package core

import "sync"

// goodbye is the channel that tells streams and hijacked connections to say goodbye. A
// process that drains can take the service back; what comes after that has a new channel.
// Make it with newGoodbye.
type goodbye struct {
	mu sync.Mutex
	ch chan struct{}
}

func newGoodbye() *goodbye { return &goodbye{ch: make(chan struct{})} }

// channel is closed when the drain begins that is the next one from here on, or has begun.
func (g *goodbye) channel() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ch
}

// begin tells all. It is called once before each renew.
func (g *goodbye) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.ch)
}

// renew is for those that come from here on.
func (g *goodbye) renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ch = make(chan struct{})
}
