package load

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// redialPause keeps clients from spinning on a server that is not there: one
// that refuses would otherwise eat the processor that its successor needs to
// start.
const redialPause = 10 * time.Millisecond

// client sends one request after another. One goroutine owns it.
type client struct {
	cfg   *Config
	id    int
	fresh bool // opens a connection for each request
	tally *tally

	conn  *conn // nil when the next request has to dial
	dials int   // connections established
	count int   // requests started
	nonce uint64
	req   *http.Request // tells ReadResponse the method
	head  []byte        // the request up to the body, always the same
	fill  []byte        // what brings a body to its length
	wire  []byte        // head and the body of this request
	buf   []byte        // where the answer's body goes
}

func newClient(cfg *Config, id int, t *tally) *client {
	// The nonce keeps bodies apart that two runs send to one server.
	c := &client{cfg: cfg, id: id, fresh: id >= max(cfg.Clients, 0), tally: t, nonce: rand.Uint64()}
	c.req = &http.Request{Method: cfg.Method}
	for size := len(c.body(nil)); size+len(c.fill) < cfg.BodySize; {
		c.fill = append(c.fill, 'a'+byte(len(c.fill)%26))
	}
	size := len(c.body(nil))
	c.buf = make([]byte, size+1)
	c.head = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n",
		cfg.Method, cfg.Path, cfg.host(), size)
	if c.fresh {
		c.head = append(c.head, "Connection: close\r\n"...)
	}
	c.head = append(c.head, "\r\n"...)
	return c
}

// body appends the body of the request that is about to be sent. The number
// has a fixed width, so that every body is as long as the first.
func (c *client) body(b []byte) []byte {
	b = fmt.Appendf(b, "%016x client %06d request %012d ", c.nonce, c.id, c.count)
	return append(b, c.fill...)
}

// run sends requests until stop is closed. A request that has begun is always
// brought to its end.
func (c *client) run(stop <-chan struct{}) {
	defer c.drop()
	for {
		select {
		case <-stop:
			return
		default:
		}
		sample := c.once()
		c.tally.add(sample, sample.Dialed && c.dials > 1 && !c.fresh)
		if c.cfg.Observe != nil {
			c.cfg.Observe(sample)
		}
		pause := c.cfg.Think
		if !sample.Dialed && !sample.Reused {
			pause = max(pause, redialPause)
		}
		if pause > 0 && !wait(pause, stop) {
			return
		}
	}
}

// once sends one request and reads its answer.
func (c *client) once() (s Sample) {
	c.count++
	s = Sample{Start: time.Now(), Client: c.id}
	deadline := s.Start.Add(c.cfg.Timeout)
	fail := func(reason Reason, err error) {
		c.drop()
		s.Err = &RequestError{Reason: reason, Client: c.id, Request: c.count, Reused: s.Reused, Err: err}
	}

	if c.conn == nil {
		conn, err := dial(c.cfg, deadline)
		if err != nil {
			fail(reasonOf(err, NotConnected), err)
			s.Latency = time.Since(s.Start)
			return s
		}
		c.conn, s.Dialed = conn, true
		c.dials++
	}
	s.Reused, c.conn.used = c.conn.used, true
	if err := c.conn.SetDeadline(deadline); err != nil {
		fail(Broken, err)
		return s
	}

	c.wire = c.body(append(c.wire[:0], c.head...))
	who, closing, reason, err := c.conn.exchange(c.req, c.wire, c.wire[len(c.head):], c.buf)
	s.Latency, s.Server = time.Since(s.Start), who
	switch {
	case err != nil:
		addrs := c.conn.LocalAddr().String() + "->" + c.conn.RemoteAddr().String()
		fail(reason, fmt.Errorf("%s: %w", addrs, err))
	case closing || c.fresh:
		c.drop()
	}
	return s
}

// drop closes the connection, if there is one.
func (c *client) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// wait lets d pass and reports whether it did before stop was closed.
func wait(d time.Duration, stop <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
		return false
	}
}
