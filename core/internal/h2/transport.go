package h2

import "errors"

// Transport is the implementation of HTTP/2 that serves a connection. They begin in the middle of a connection in
// different ways: see history.
type Transport int

const (
	// NetHTTP is net/http's.
	NetHTTP Transport = iota
	// GRPC is that of google.golang.org/grpc, Server.Serve. It does not heed the GOAWAY by which Conn.Leave works.
	GRPC
)

// errLate is for a header block on a stream that the client has opened, and ended, before the connection has moved. It
// would be a new stream to a server that does not know that one. Without a move it ends the connection, too.
var errLate = errors.New("h2: HEADERS on a stream that is over")

// leveler is the filter for a server that does not know what the client knows of its windows.
//
// Of the connection's: the server before this one has said more. This one counts on less, which grpc-go's does not enforce,
// and gives back all that comes. So what the client has more is taken from that, until both know the same: it would add up
// from one process to the next.
//
// Of the streams': they are closed, see withhold.go, and this server raises them.
type leveler struct {
	c       *Conn
	surplus int64
}

func (l *leveler) sees(frame []byte) (keep, over bool) {
	keep = true
	switch h := (*head)(frame); {
	case h.kind() == typeSettings && !h.has(flagAck):
		if frames := l.c.books.keepClosed(frame[headSize:]); len(frames) > 0 {
			l.c.insert(frames)
		}
	case h.kind() == typeWindowUpdate && h.stream() == 0 && h.size() == 4:
		n := increment(frame)
		taken := min(n, l.surplus)
		l.surplus -= taken
		setIncrement(frame, n-taken)
		keep = n > taken
	}
	return keep, l.surplus == 0 && !l.c.windows.Load()
}
