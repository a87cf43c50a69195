package conns

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"

	"github.com/gracex-go/gracex/core/internal/fd"
	"github.com/gracex-go/gracex/core/internal/h2"
	"github.com/gracex-go/gracex/core/internal/tls13"
)

// State is what a connection is doing, as far as the drain cares.
type State int32

// What a connection is doing.
const (
	Raw      State = iota // accepted by the program's own loop
	New                   // accepted for a server; no request yet
	Active                // a request is read or answered
	Idle                  // between two requests
	Hijacked              // the program took it over
	Parked                // came from the old process; its server does not have it yet
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

// Conn is an accepted connection. It stands between the socket and net/http (under TLS where there is TLS),
// costs one allocation a connection and none a request, and leaves the connection table when it is closed.
type Conn struct {
	net.Conn
	table    *Table
	served   *atomic.Uint64       // where its requests are counted
	from     *Origin              // nil when the program brought the listener
	outer    *tls.Conn            // over this one, if there is TLS; guarded by table.mu
	over     secured              // this one is over TLS: it is Conn; else nil
	tlsState *tls.ConnectionState // of over
	stayTLS  tls13.StaysError     // why it does not move; empty if it can
	number   uint64               // counts the connections of the table
	given    bool                 // the program has the socket: see Give; guarded by table.mu

	// side speaks HTTP on this very connection, so that it can move; else nil.
	side atomic.Pointer[Side]

	chosen  atomic.Pointer[Mover] // that moves it while the rest stays; see Mover.choose
	invited atomic.Pointer[Mover] // that it may offer itself to, before all others may; see round

	frames  atomic.Pointer[h2.Conn] // what it carries is HTTP/2, and followed; over TLS if there is TLS
	stays   atomic.Pointer[Mover]   // that did not move its HTTP/2
	offered atomic.Bool             // the HTTP/2 that it carries is offered: the mover has its descriptor
	h2c     *Side                   // that it may speak HTTP/2 with in the clear, and is to be followed then; else nil
	ctx     context.Context         // of ConnContext, under TLS

	boundary  boundary
	deadlines deadlines
	state     atomic.Int32
	http2     atomic.Bool  // it has carried an HTTP/2 request
	requests  atomic.Int32 // handlers that run for it
	idle      atomic.Int64 // since when nothing happens on it, in the table's clock; 0: since before the upgrade or drain
	closing   atomic.Uint32
	closed    atomic.Bool

	preface int // of the goroutine that serves the connection: bytes of HTTP/2's preface that have come; -1: something else has
}

// RemoteAddr returns the client's address. The kernel does not know it any more of a
// connection that was reset on its way here from the old process, and no caller that has a
// connection expects nil.
func (c *Conn) RemoteAddr() net.Addr {
	if addr := c.Conn.RemoteAddr(); addr != nil {
		return addr
	}
	return &net.TCPAddr{}
}

// IsReset reports whether its client has reset it, on its way here from the old process. A ConnContext or ConnState need not
// know that such a connection has no address.
func (c *Conn) IsReset() bool { return c.Conn.RemoteAddr() == nil }

// Read returns what has come. In the clear it finds out whether that is HTTP/2.
func (c *Conn) Read(b []byte) (int, error) {
	if c.h2c == nil || c.preface < 0 {
		return c.readBytes(b)
	}
	return c.readOrFollow(b)
}

// readBytes notes that a request has begun: from its first byte on it must be answered, or be counted as cut.
func (c *Conn) readBytes(b []byte) (int, error) {
	if err := c.beginRead(len(b)); err != nil {
		return 0, err
	}
	defer c.endRead()
	if s := c.side.Load(); s != nil {
		switch {
		case c.atBoundary(b):
			return c.readNext(s, b)
		case len(b) == 1 && c.over == nil && c.isBackgroundRead(): // TLS says close_notify before it ends: that must be read
			return c.watch()
		}
	}
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.boundary.begin()
	}
	if n > 0 && c.Is(New) {
		c.idle.Store(c.table.now()) // under TLS nobody can say whether it is a request
	}
	return n, err
}

// Close closes the connection and takes it out of the table. The first call counts.
func (c *Conn) Close() error {
	if !c.closed.Swap(true) {
		c.table.remove(c)
		if f := c.frames.Load(); f != nil {
			f.End()
		}
	}
	return c.Conn.Close()
}

// NetConn returns the connection that was accepted, as tls.Conn.NetConn does.
func (c *Conn) NetConn() net.Conn {
	if c.over != nil {
		return c.over.NetConn()
	}
	return c.Conn
}

// ReadFrom keeps sendfile and splice: net/http looks for it.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := c.Conn.(io.ReaderFrom); ok && c.inClear() == nil {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c}, r)
}

// WriteTo keeps splice for a tunnel: io.Copy from a connection that is the program's own looks for it.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	if wt, ok := c.Conn.(io.WriterTo); ok && (c.Is(Hijacked) || c.Is(Raw)) && c.inClear() == nil {
		return wt.WriteTo(w)
	}
	return io.Copy(w, struct{ io.Reader }{c})
}

// CloseWrite keeps net/http's half-close after a request that it refused.
func (c *Conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return syscall.ENOTSUP
}

// SyscallConn gives access to the descriptor where there is one and nothing else belongs to it: see SecureConn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.over != nil {
		return nil, syscall.ENOTSUP
	}
	return c.socket()
}

// socket gives access to the descriptor where there is one, also below TLS.
func (c *Conn) socket() (syscall.RawConn, error) {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, syscall.ENOTSUP
}

// SetState follows what net/http says of the connection.
func (c *Conn) SetState(st State) {
	if st == Idle {
		c.boundary.end(c.CanMove())
		c.noteIdle()
	}
	c.state.Store(int32(st))
	if st == Hijacked {
		c.passHeldBack() // from here on the program has the socket
	}
}

// noteIdle notes since when the connection is idle. Where net/http sets a deadline for it that tells, and the
// clock is not asked for each request; where it sets none it does not matter before an upgrade or a drain.
func (c *Conn) noteIdle() {
	if !c.CanMove() || c.http2.Load() || c.table.timesIdle.Load() {
		c.idle.Store(c.table.now())
	} else if c.idle.Load() != 0 {
		c.idle.Store(0)
	}
}

// Is reports whether the connection is in the state.
func (c *Conn) Is(st State) bool { return State(c.state.Load()) == st }

// unanswered counts the requests that have been read, in part at least, and not answered.
func (c *Conn) unanswered() int {
	if n := int(c.requests.Load()); n > 0 || c.http2.Load() {
		return n
	}
	switch State(c.state.Load()) {
	case Active:
		return 1
	case New:
		// Under TLS the first bytes are the handshake's.
		if c.boundary.begun.Load() && c.tls() == nil {
			return 1
		}
	case Idle:
		if c.boundary.begun.Load() {
			return 1
		}
	}
	return 0
}

// Begins notes that a handler is about to run for r, and reports whether the connection's state says
// when that is answered. Answered is told which it is.
func (c *Conn) Begins(r *http.Request) (followed bool) {
	if c.CanMove() && r.ProtoMajor == 1 {
		c.boundary.note(r)
		return true
	}
	if r.ProtoMajor >= 2 {
		c.SpeaksHTTP2()
	}
	c.requests.Add(1)
	return false
}

// Answered is the end of a request's handler, a panic included.
func (c *Conn) Answered(followed bool) {
	if !followed {
		c.requests.Add(-1)
	}
	if f := c.frames.Load(); f != nil && f.Counts() {
		return // it was the connection's whole life
	}
	c.served.Add(1)
}

// AnsweredFrames notes that a request was answered on HTTP/2 that a handler speaks.
func (c *Conn) AnsweredFrames() { c.served.Add(1) }

// CanMove reports whether a server follows net/http on this very connection.
func (c *Conn) CanMove() bool { return c.side.Load() != nil }

// BelongsTo says which server follows net/http on the connection; nil if none does any more.
func (c *Conn) BelongsTo(s *Side) { c.side.Store(s) }

// SpeaksHTTP2 notes that it carries HTTP/2.
func (c *Conn) SpeaksHTTP2() { c.http2.Store(true) }

// Carries notes that it carries HTTP/2, whose frames are f's.
func (c *Conn) Carries(f *h2.Conn) {
	c.SpeaksHTTP2()
	c.frames.Store(f)
	if c.closed.Load() {
		f.End()
	}
}

// HTTP2Frames returns the frames that it carries; nil if they are not followed.
func (c *Conn) HTTP2Frames() *h2.Conn { return c.frames.Load() }

// IsUnder notes the TLS that is over the connection.
func (c *Conn) IsUnder(tc *tls.Conn) {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.outer = tc
}

// KeepRequestContext keeps the context of the requests that come by TLS. It is called before the first of them.
func (c *Conn) KeepRequestContext(ctx context.Context) { c.ctx = ctx }

// RequestContext returns what KeepRequestContext got.
func (c *Conn) RequestContext() context.Context { return c.ctx }

// MayFollow says that it can carry HTTP/2 in the clear, for s, and is to be followed then.
func (c *Conn) MayFollow(s *Side) { c.h2c = s }

// Draining is closed when the process that serves it begins to drain.
func (c *Conn) Draining() <-chan struct{} { return c.table.goodbye.Of(c.number) }

// Leave takes it out of the table, for one whose end will not be seen.
func (c *Conn) Leave() {
	if !c.closed.Swap(true) {
		c.table.remove(c)
	}
}

// idleSince is for Waiting.
func (c *Conn) idleSince() int64 { return c.idle.Load() }

// DismissIdle closes it if it is idle, and no request has just arrived.
func (c *Conn) DismissIdle() {
	if c.quiet() && !c.pending() {
		c.dismiss(closedIdle)
	}
}

// quiet reports whether the connection waits for a request that has not begun.
func (c *Conn) quiet() bool {
	if c.closed.Load() { // or TLS has taken its place: see Table.Secure
		return false
	}
	if c.CanMove() && !c.http2.Load() {
		return c.boundary.waiting()
	}
	return (c.Is(Idle) || c.Is(New)) && c.unanswered() == 0 && !c.offered.Load()
}

// pending reports whether something has arrived that nobody has read yet.
func (c *Conn) pending() bool {
	if c.over != nil && c.over.Holds() {
		return true
	}
	rc, err := c.socket()
	return err == nil && fd.Pending(rc)
}

func (c *Conn) tls() *tls.Conn {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	return c.outer
}

// dismiss closes the connection for the given reason. TLS says goodbye.
func (c *Conn) dismiss(why closeReason) {
	c.closing.Store(uint32(why))
	if tc := c.tls(); tc != nil {
		_ = tc.Close()
	}
	_ = c.Close()
}

// Tracked finds the connection of ours in what net/http holds, or nil.
func Tracked(nc net.Conn) *Conn {
	for nc != nil {
		switch v := nc.(type) {
		case *Conn:
			return v
		case SecureConn:
			return v.c
		case interface{ NetConn() net.Conn }: // *tls.Conn and its like
			nc = v.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// Exposed is the connection that a user's ConnState and ConnContext see: what
// net/http alone would have shown.
func Exposed(nc net.Conn) net.Conn {
	c, ok := nc.(*Conn)
	if !ok {
		return nc
	}
	if f, ok := c.Conn.(*tls13.First); ok {
		return f.TLS()
	}
	if c.over != nil {
		return c.forProgram()
	}
	return c.Conn
}

// FromHTTP translates net/http's state.
func FromHTTP(st http.ConnState) (State, bool) {
	switch st {
	case http.StateNew:
		return New, true
	case http.StateActive:
		return Active, true
	case http.StateIdle:
		return Idle, true
	case http.StateHijacked:
		return Hijacked, true
	}
	return 0, false // closed: Close tells
}
