package conns

import "sync/atomic"

// counter counts on all processors at once: one number that all of them write would
// go from one's cache to the other's with each request.
type counter [16]struct {
	n atomic.Uint64
	_ [56]byte // a cache line, mostly, is 64
}

// part returns the n-th place to count at.
func (c *counter) part(n uint64) *atomic.Uint64 { return &c[n%uint64(len(c))].n }

// sum is what was counted so far.
func (c *counter) sum() (n uint64) {
	for i := range c {
		n += c[i].n.Load()
	}
	return n
}
