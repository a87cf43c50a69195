package core

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
)

// connState is what a connection is doing, as far as the drain cares.
type connState int32

const (
	connRaw      connState = iota // accepted by the program's own loop
	connNew                       // accepted for a server; no request yet
	connActive                    // a request is read or answered
	connIdle                      // between two requests
	connHijacked                  // the program took it over
	connParked                    // came from the old process; no server has it yet
)

// closeReason says why a connection is expected to close.
type closeReason uint32

const (
	staysOpen      closeReason = iota
	closedPolitely             // its last response carried Connection: close, or GOAWAY was sent
	closedIdle                 // it was idle and its time was over
	closedCut                  // the deadline
	closedMoved                // the next generation has it
)

// conn is an accepted connection. It stands between the socket and net/http
// (under TLS where there is TLS), costs one allocation a connection and none a
// request, and leaves the connection table when it is closed.
type conn struct {
	net.Conn
	table  *connTable
	served *atomic.Uint64 // where its requests are counted
	from   *origin        // nil when the program brought the listener
	outer  *tls.Conn      // over this one, if there is TLS; guarded by table.mu

	// srv speaks HTTP on this very connection, so that it can move; else nil.
	side atomic.Pointer[side]

	chosen atomic.Pointer[mover] // that moves it while the rest stays; see mover.choose

	frames atomic.Pointer[h2.Conn] // what it carries is HTTP/2, and followed; over TLS if there is TLS
	h2c    *side                   // that it may speak HTTP/2 with in the clear, and is to be followed then; else nil
	ctx    context.Context         // of ConnContext, under TLS

	boundary boundary
	state    atomic.Int32
	http2    atomic.Bool  // it has carried an HTTP/2 request
	requests atomic.Int32 // handlers that run for it
	idle     atomic.Int64 // since when nothing happens on it, in the table's clock; 0: since before the drain
	closing  atomic.Uint32
	closed   atomic.Bool

	preface int // of the goroutine that serves the connection: bytes of HTTP/2's preface that have come; -1: something else has
}

// RemoteAddr returns the client's address. The kernel does not know it any more of a
// connection that was reset on its way here from the old process; nobody who has got a
// connection expects nil.
func (c *conn) RemoteAddr() net.Addr {
	if addr := c.Conn.RemoteAddr(); addr != nil {
		return addr
	}
	return &net.TCPAddr{}
}

// Read returns what has come. In the clear it finds out whether that is HTTP/2.
func (c *conn) Read(b []byte) (int, error) {
	if c.h2c == nil || c.preface < 0 {
		return c.readBytes(b)
	}
	return c.readOrFollow(b)
}

// readBytes notes that a request has begun: from its first byte on it must be
// answered, or be counted as cut.
func (c *conn) readBytes(b []byte) (int, error) {
	if s := c.side.Load(); s != nil {
		switch {
		case c.atBoundary(b):
			return c.readNext(s, b)
		case len(b) == 1 && c.isBackgroundRead():
			return c.watch()
		}
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.boundary.begin()
	}
	if n > 0 && c.is(connNew) {
		c.idle.Store(c.table.now()) // under TLS nobody can say whether it is a request
	}
	return n, err
}

// Close closes the connection and takes it out of the table. The first call
// counts.
func (c *conn) Close() error {
	if !c.closed.Swap(true) {
		c.table.remove(c)
		if f := c.frames.Load(); f != nil {
			f.End()
		}
	}
	return c.Conn.Close()
}

// NetConn returns the connection that was accepted, as tls.Conn.NetConn does.
func (c *conn) NetConn() net.Conn { return c.Conn }

// ReadFrom keeps sendfile and splice: net/http looks for it.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok && c.inClear() == nil {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// CloseWrite keeps net/http's half-close after a request that it refused.
func (c *conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return syscall.ENOTSUP
}

// SyscallConn gives access to the descriptor where there is one.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.ENOTSUP
}

func (c *conn) setState(st connState) {
	if st == connIdle {
		c.boundary.end(c.canMove())
		c.noteIdle()
	}
	c.state.Store(int32(st))
}

// noteIdle notes since when the connection is idle. Where net/http sets a deadline for
// it that tells, and the clock is not asked for each request; where it sets none it
// does not matter before the drain.
func (c *conn) noteIdle() {
	if !c.canMove() || c.table.drains.Load() {
		c.idle.Store(c.table.now())
	} else if c.idle.Load() != 0 {
		c.idle.Store(0)
	}
}

func (c *conn) is(st connState) bool { return connState(c.state.Load()) == st }

// unanswered counts the requests that have been read, in part at least, and not
// answered.
func (c *conn) unanswered() int {
	if n := int(c.requests.Load()); n > 0 || c.http2.Load() {
		return n
	}
	switch connState(c.state.Load()) {
	case connActive:
		return 1
	case connNew:
		// Under TLS the first bytes are the handshake's.
		if c.boundary.begun.Load() && c.tls() == nil {
			return 1
		}
	case connIdle:
		if c.boundary.begun.Load() {
			return 1
		}
	}
	return 0
}

// begins notes that a handler is about to run for r, and reports whether the connection's state says
// when that is answered. answered gets to hear which it is.
func (c *conn) begins(r *http.Request) (followed bool) {
	if c.canMove() && r.ProtoMajor == 1 {
		c.boundary.note(r)
		return true
	}
	if r.ProtoMajor >= 2 {
		c.speaksHTTP2()
	}
	c.requests.Add(1)
	return false
}

// answered is the end of a request's handler, a panic included.
func (c *conn) answered(followed bool) {
	if !followed {
		c.requests.Add(-1)
	}
	c.served.Add(1)
}

// canMove reports whether a server follows net/http on this very connection.
func (c *conn) canMove() bool { return c.side.Load() != nil }

// belongsTo says which server follows net/http on the connection; nil if none does any more.
func (c *conn) belongsTo(s *side) { c.side.Store(s) }

// speaksHTTP2 notes that it carries HTTP/2.
func (c *conn) speaksHTTP2() { c.http2.Store(true) }

// carries notes that it carries HTTP/2, whose frames are f's.
func (c *conn) carries(f *h2.Conn) {
	c.speaksHTTP2()
	c.frames.Store(f)
	if c.closed.Load() {
		f.End()
	}
}

// http2Frames returns the frames that it carries; nil if they are not followed.
func (c *conn) http2Frames() *h2.Conn { return c.frames.Load() }

// isUnder notes the TLS that is over the connection.
func (c *conn) isUnder(tc *tls.Conn) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.outer = tc
}

// keep keeps the context of the requests that come by TLS. It is called before the first of them.
func (c *conn) keep(ctx context.Context) { c.ctx = ctx }

// context returns what keep got.
func (c *conn) context() context.Context { return c.ctx }

// mayFollow says that it can carry HTTP/2 in the clear, for s, and is to be followed then.
func (c *conn) mayFollow(s *side) { c.h2c = s }

// draining is closed when the process that serves it begins to drain.
func (c *conn) draining() <-chan struct{} { return c.table.goodbye.channel() }

// leave takes it out of the table, for one whose end will not be seen.
func (c *conn) leave() {
	if !c.closed.Swap(true) {
		c.table.remove(c)
	}
}

// dismissIdle closes it if it is idle, and no request has just arrived.
func (c *conn) dismissIdle() {
	if c.quiet() && !c.pending() {
		c.dismiss(closedIdle)
	}
}

// quiet reports whether the connection waits for a request that has not begun.
func (c *conn) quiet() bool {
	if c.canMove() && !c.http2.Load() {
		return c.boundary.waiting()
	}
	return (c.is(connIdle) || c.is(connNew)) && c.unanswered() == 0
}

// pending reports whether something has arrived that nobody has read yet.
func (c *conn) pending() bool {
	rc, err := c.SyscallConn()
	return err == nil && fd.Pending(rc)
}

func (c *conn) tls() *tls.Conn {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	return c.outer
}

// dismiss closes the connection for the given reason. TLS says goodbye.
func (c *conn) dismiss(why closeReason) {
	c.closing.Store(uint32(why))
	if tc := c.tls(); tc != nil {
		_ = tc.Close()
	}
	_ = c.Close()
}

// tracked finds the connection of ours in what net/http holds, or nil.
func tracked(nc net.Conn) *conn {
	for nc != nil {
		switch v := nc.(type) {
		case *conn:
			return v
		case interface{ NetConn() net.Conn }: // *tls.Conn and its like
			nc = v.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// exposed is the connection that a user's ConnState and ConnContext see: what
// net/http alone would have shown.
func exposed(nc net.Conn) net.Conn {
	if c, ok := nc.(*conn); ok {
		return c.Conn
	}
	return nc
}

// fromHTTP translates net/http's state.
func fromHTTP(st http.ConnState) (connState, bool) {
	switch st {
	case http.StateNew:
		return connNew, true
	case http.StateActive:
		return connActive, true
	case http.StateIdle:
		return connIdle, true
	case http.StateHijacked:
		return connHijacked, true
	}
	return 0, false // closed: Close tells
}

// clock is the table's: nanoseconds since it was made.
type clock struct{ base time.Time }

func (c clock) now() int64 { return int64(time.Since(c.base)) }
