package conns

import (
	"slices"
	"sync/atomic"
)

// Origin is the listener that a connection was accepted from. It counts for the server there. The zero Origin is ready.
type Origin struct {
	Network, Address string      // as given to Listen: the next generation knows it by these words
	Bound            string      // the address that the listener is bound to
	Wrapped          atomic.Bool // a server accepts through a type that hides our connections

	served   counter // requests whose handler has returned
	accepted uint64  // connections; guarded by table.mu
	listed   bool    // in table.origins; guarded by table.mu
}

// OriginCounts are an Origin's. That of connections whose listener is not known is nil.
type OriginCounts struct {
	Origin           *Origin
	Accepted, Served uint64
}

// originLocked returns what counts for a connection from the listener, which may be nil.
func (t *Table) originLocked(from *Origin) *Origin {
	if from == nil {
		from = &t.unknown
	}
	if !from.listed {
		from.listed = true
		list := append(slices.Clone(*t.origins.Load()), from)
		t.origins.Store(&list)
	}
	return from
}

// Served is how many requests were answered.
func (t *Table) Served() (n uint64) {
	for _, o := range *t.origins.Load() {
		n += o.served.sum()
	}
	return n
}

// Origins returns the counts of each listener from which a connection has come.
func (t *Table) Origins() (list []OriginCounts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range *t.origins.Load() {
		c := OriginCounts{Origin: o, Accepted: o.accepted, Served: o.served.sum()}
		if o == &t.unknown {
			c.Origin = nil
		}
		list = append(list, c)
	}
	return list
}

// CountServed counts a request of a connection that is not known.
func (t *Table) CountServed(from *Origin) {
	if from == nil {
		from = &t.unknown
	}
	if !slices.Contains(*t.origins.Load(), from) {
		t.mu.Lock()
		t.originLocked(from)
		t.mu.Unlock()
	}
	from.served.part(0).Add(1)
}
