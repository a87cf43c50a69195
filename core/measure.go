package core

import (
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gracex-go/gracex/core/control"
)

// measure takes the time of requests while somebody wants to know it. The zero measure is ready, and does not.
type measure struct {
	on atomic.Bool

	mu      sync.Mutex
	until   time.Time
	seconds control.Histogram
	errors  uint64
}

// measureFor measures the requests that begin within d.
func (m *measure) measureFor(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d = min(d, control.MaxMeasure)
	until := time.Now().Add(d)
	if until.Before(m.until) {
		return
	}
	m.until = until
	if !m.on.Swap(true) {
		time.AfterFunc(d, m.ends)
	}
}

// ends stops measuring, unless somebody has asked again.
func (m *measure) ends() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if left := time.Until(m.until); left > 0 {
		time.AfterFunc(left, m.ends)
		return
	}
	m.on.Store(false)
}

// counts are the durations of all requests that were measured, and how many of them have failed.
func (m *measure) counts() (control.Histogram, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seconds.Plus(control.Histogram{}), m.errors
}

// measured is one request that is measured; nil for another one.
type measured struct {
	m        *measure
	began    time.Time
	status   *int      // that was answered; 0: none yet, which is 200, or it is not known
	lent     *takeover // for this alone; nil if there is none
	returned bool      // the handler has, and has not panicked
}

// end counts the request.
func (q *measured) end() {
	took := time.Since(q.began)
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	q.m.seconds.Observe(took, requestBounds)
	if !q.returned || *q.status >= http.StatusInternalServerError {
		q.m.errors++
	}
	if q.lent != nil {
		q.lent.end()
	}
}

// done notes that the handler has returned.
func (q *measured) done() {
	if q != nil {
		q.returned = true
	}
}

// begin begins to measure a request whose answer goes to w, if requests are measured. The handler gets what it returns.
func (s *server) begin(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *measured) {
	if !s.u.measure.on.Load() || r.Method == methodPRI || r.Method == http.MethodConnect || r.Header.Get("Upgrade") != "" {
		return w, nil // the others last as long as their connections
	}
	q := &measured{m: &s.u.measure, began: time.Now(), status: new(int)}
	t, lent := w.(*takeover)
	switch {
	case lent:
		q.status = &t.status
	case r.ProtoMajor != 1:
		noted := &http2Answer{ResponseWriter: w}
		q.status, w = &noted.status, noted
	case r.ContentLength == 0: // with a body the handler gets what net/http gives, whatever its status is: see lends
		q.lent = s.lend(w, r)
		q.lent.asIs = true
		q.status, w = &q.lent.status, q.lent
	}
	return w, q
}

// http2Answer is a ResponseWriter of HTTP/2 that notes the status. It has each method of net/http's own that has a name
// elsewhere.
type http2Answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader is http.ResponseWriter's.
func (a *http2Answer) WriteHeader(status int) {
	noteStatus(&a.status, status)
	a.ResponseWriter.WriteHeader(status)
}

// noteStatus notes the first status that is no informational one.
func noteStatus(at *int, status int) {
	if *at == 0 && status >= http.StatusOK {
		*at = status
	}
}

// Unwrap is for http.ResponseController.
func (a *http2Answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteString is io.StringWriter's.
func (a *http2Answer) WriteString(s string) (int, error) {
	if sw, ok := a.ResponseWriter.(interface{ WriteString(string) (int, error) }); ok {
		return sw.WriteString(s)
	}
	return a.Write([]byte(s))
}

// Flush is http.Flusher's.
func (a *http2Answer) Flush() { _ = a.FlushError() }

// FlushError, and what follows, are http.ResponseController's.
func (a *http2Answer) FlushError() error { return a.control().Flush() }

// SetReadDeadline is http.ResponseController's.
func (a *http2Answer) SetReadDeadline(at time.Time) error { return a.control().SetReadDeadline(at) }

// SetWriteDeadline is http.ResponseController's.
func (a *http2Answer) SetWriteDeadline(at time.Time) error { return a.control().SetWriteDeadline(at) }

// EnableFullDuplex is http.ResponseController's.
func (a *http2Answer) EnableFullDuplex() error { return a.control().EnableFullDuplex() }

func (a *http2Answer) control() *http.ResponseController {
	return http.NewResponseController(a.ResponseWriter)
}

// Push is http.Pusher's.
func (a *http2Answer) Push(target string, opts *http.PushOptions) error {
	if p, ok := a.ResponseWriter.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// CloseNotify is http.CloseNotifier's, which programs still look for.
func (a *http2Answer) CloseNotify() <-chan bool {
	if n, ok := a.ResponseWriter.(http.CloseNotifier); ok { //nolint:staticcheck // deprecated, and net/http still has it
		return n.CloseNotify()
	}
	return make(chan bool)
}
