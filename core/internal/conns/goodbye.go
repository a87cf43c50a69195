package conns

import (
	"sync"
	"time"
)

// Goodbye has the channels that tell streams and hijacked connections to say goodbye. Each connection has that of its
// group, so that not all of thousands wake at once. A process that drains can take the service back; what comes after
// that has new channels. Make it with NewGoodbye.
type Goodbye struct {
	mu    sync.Mutex
	chans [goodbyeGroups]chan struct{}
	told  int           // how many are closed, the first ones
	stop  chan struct{} // closed when no more are to be closed
}

// goodbyeGroups is how many groups there are. Of 5,000 connections one has 80.
const goodbyeGroups = 64

// NewGoodbye makes one that has not begun.
func NewGoodbye() *Goodbye {
	g := &Goodbye{}
	g.told = goodbyeGroups
	g.renew()
	return g
}

// Channel is closed when the drain begins that is the next one from here on, or has begun.
func (g *Goodbye) Channel() <-chan struct{} { return g.Of(0) }

// Of is Channel for one of many connections. It can be closed a little later.
func (g *Goodbye) Of(conn uint64) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.chans[conn%goodbyeGroups]
}

// Begin tells the first group, and each other one a gap later; 0 is all at once. It is called once before each Renew.
func (g *Goodbye) Begin(gap time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tell()
	if gap > 0 {
		go g.tellOthers(gap, g.stop)
		return
	}
	for g.told < goodbyeGroups {
		g.tell()
	}
}

func (g *Goodbye) tell() {
	close(g.chans[g.told])
	g.told++
}

func (g *Goodbye) tellOthers(gap time.Duration, stop <-chan struct{}) {
	tick := time.NewTicker(gap)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		g.mu.Lock()
		over := isClosed(stop) || g.told == goodbyeGroups
		if !over {
			g.tell()
		}
		g.mu.Unlock()
		if over {
			return
		}
	}
}

// Renew is for those that come from here on. Whoever was not told yet stays.
func (g *Goodbye) Renew() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.stop)
	g.renew()
}

func (g *Goodbye) renew() {
	for i := range g.told {
		g.chans[i] = make(chan struct{})
	}
	g.told, g.stop = 0, make(chan struct{})
}
