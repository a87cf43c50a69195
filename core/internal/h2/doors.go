package h2

import "sync"

// Moves tries, once in a process and not before a connection is to move, whether a server of net/http's
// takes connections over and gives them up as core relies on.
var Moves = sync.OnceValue(ProbeMove)

// Tried says how net/http speaks HTTP/2 such that it can be made to leave. An error
// says that it can't that way.
type Tried struct{ Clear, State error }

// Doors tries, once in a process and not before an HTTP/2 connection has come, what net/http does. Where that
// is not what core relies on, net/http serves HTTP/2 in its own way, and GOAWAY goes out with answers only.
var Doors = sync.OnceValue(func() Tried {
	return Tried{Clear: Probe(DoorClear), State: Probe(DoorState)}
})
