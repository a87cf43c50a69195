package conns

import "net"

// A handler that hijacks a connection gets the socket itself, as from net/http alone: its type, and the very value
// that ConnState and ConnContext have seen. So nobody tells when the program closes it. A descriptor that is
// closed can't be used any more, and the table looks for that whenever it counts what is open.

// fewGiven is how many connections are given to the program before the first look for those that it has closed.
const fewGiven = 64

// given are the connections that the program has; guarded by Table.mu.
type given struct {
	m    map[net.Conn]*Conn // by what the program has: a *net.TCPConn or a *net.UnixConn
	look int                // how many make the table look
}

// Give returns what the program is to have of a connection that it takes over. That is the socket itself, or c
// where more than the socket belongs to it, or where the socket has no remote address any more (see RemoteAddr).
func (c *Conn) Give() net.Conn {
	if c.over != nil {
		return c.forProgram()
	}
	if _, ok := Transport(c.Conn); !ok || c.Conn.RemoteAddr() == nil {
		return c
	}
	t := c.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.closed.Load() {
		return c.Conn
	}
	if t.given.m == nil {
		t.given.m, t.given.look = make(map[net.Conn]*Conn), fewGiven
	}
	c.given, t.given.m[c.Conn] = true, c
	if len(t.given.m) >= t.given.look {
		for _, c := range t.given.m {
			t.endedLocked(c)
		}
		t.given.look = max(2*len(t.given.m), fewGiven) // so a look costs a connection the same however many there are
	}
	return c.Conn
}

// Given returns the connection whose socket Give has given away, or nil.
func (t *Table) Given(nc net.Conn) *Conn {
	if _, ok := Transport(nc); !ok {
		return nil // it may be of a type that is no key of a map
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.given.m[nc]
}

// endedLocked takes c out of the table if the program has it, and has closed it, and reports whether. It asks no
// system call.
func (t *Table) endedLocked(c *Conn) bool {
	if !c.given {
		return false
	}
	rc, err := c.socket()
	if err == nil && rc.Control(func(uintptr) {}) == nil {
		return false
	}
	if !c.closed.Swap(true) {
		t.removeLocked(c)
	}
	return true
}
