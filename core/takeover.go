package core

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gracex-go/gracex/core/internal/conns"
)

// takeover is the ResponseWriter of a request whose handler may hijack the connection: it gives the handler the
// socket itself, as net/http alone would, and not what stands between that and net/http. It has each method of
// net/http's own ResponseWriter for HTTP/1 that has a name elsewhere.
type takeover struct {
	w http.ResponseWriter // nil when the handler has returned
	s *server
	r *http.Request

	asIs   bool // the handler hijacks what net/http gives
	status int  // that was answered; 0: none yet
}

// lends reports whether the handler of r gets a takeover. A request with a body and without Upgrade does not: by
// net/http's own ResponseWriter http.MaxBytesReader closes the connection, with a method that has no name outside
// of net/http. Its handler hijacks a *conns.Conn.
func (s *server) lends(r *http.Request) bool {
	switch {
	case r.Method == methodPRI:
		return true
	case r.TLS != nil && !s.secure:
		return false // it hijacks the *tls.Conn
	}
	return r.ProtoMajor == 1 && (r.ContentLength == 0 || r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect)
}

// methodPRI is the method that HTTP/2's preface has for a server of HTTP/1 (RFC 9113, section 3.4).
const methodPRI = "PRI"

// takeoverBlock is how many takeovers are allocated at once. Each is used for one request only, because a handler
// can keep its ResponseWriter for longer than it may.
const takeoverBlock = 16

// takeovers has blocks of which some are unused.
var takeovers = sync.Pool{New: func() any { return new([]takeover) }}

// lend makes a takeover. Most requests cost no allocation.
func (s *server) lend(w http.ResponseWriter, r *http.Request) *takeover {
	block := takeovers.Get().(*[]takeover)
	if len(*block) == 0 {
		*block = make([]takeover, takeoverBlock)
	}
	t := &(*block)[0]
	*block = (*block)[1:]
	takeovers.Put(block)
	*t = takeover{w: w, s: s, r: r}
	return t
}

// end lets go of what net/http has for the request. From here on t does nothing.
func (t *takeover) end() { *t = takeover{} }

// Hijack is http.Hijacker's.
func (t *takeover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h, ok := t.writer().(http.Hijacker)
	if !ok {
		return nil, nil, errOver
	}
	nc, rw, err := h.Hijack()
	if err != nil || t.asIs {
		return nc, rw, err
	}
	if takesHTTP2(t.r) {
		nc, rw = t.s.hijackHTTP2(t.r, nc, rw)
		return nc, rw, nil
	}
	c, ok := nc.(*conns.Conn)
	if !ok {
		return nc, rw, nil
	}
	nc = c.Give()
	rw.Writer.Reset(nc) // nothing is in it
	return nc, rw, nil
}

// errOver is the error of a ResponseWriter whose handler has returned.
var errOver = errors.New("gracex: the handler of this ResponseWriter has returned")

// over is what is left of a ResponseWriter then.
type over struct{}

func (over) Header() http.Header       { return make(http.Header) }
func (over) Write([]byte) (int, error) { return 0, errOver }
func (over) WriteHeader(int)           {}

func (t *takeover) writer() http.ResponseWriter {
	if t.w == nil {
		return over{}
	}
	return t.w
}

// The rest is net/http's.

func (t *takeover) Header() http.Header         { return t.writer().Header() }
func (t *takeover) Write(b []byte) (int, error) { return t.writer().Write(b) }

func (t *takeover) WriteHeader(status int) {
	noteStatus(&t.status, status)
	t.writer().WriteHeader(status)
}

// WriteString is io.StringWriter's. It does not call io.WriteString, which has called it: the type assertion in there is
// fast for one type.
func (t *takeover) WriteString(s string) (int, error) {
	w := t.writer()
	if sw, ok := w.(io.StringWriter); ok {
		return sw.WriteString(s)
	}
	return w.Write([]byte(s))
}

// ReadFrom is io.ReaderFrom's. It keeps sendfile and splice.
func (t *takeover) ReadFrom(r io.Reader) (int64, error) {
	if rf, ok := t.writer().(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{t.writer()}, r)
}

// Flush is http.Flusher's.
func (t *takeover) Flush() { _ = t.FlushError() }

// FlushError, and what follows, are http.ResponseController's.
func (t *takeover) FlushError() error { return t.control().Flush() }

func (t *takeover) SetReadDeadline(at time.Time) error  { return t.control().SetReadDeadline(at) }
func (t *takeover) SetWriteDeadline(at time.Time) error { return t.control().SetWriteDeadline(at) }
func (t *takeover) EnableFullDuplex() error             { return t.control().EnableFullDuplex() }

func (t *takeover) control() *http.ResponseController { return http.NewResponseController(t.writer()) }

// CloseNotify is http.CloseNotifier's, which programs still look for.
func (t *takeover) CloseNotify() <-chan bool {
	if n, ok := t.writer().(http.CloseNotifier); ok { //nolint:staticcheck // deprecated, and net/http still has it
		return n.CloseNotify()
	}
	return make(chan bool)
}
