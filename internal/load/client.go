package load

import (
	"fmt"
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
	req   *request
}

func newClient(cfg *Config, id int, t *tally) *client {
	fresh := id >= max(cfg.Clients, 0)
	return &client{cfg: cfg, id: id, fresh: fresh, tally: t, req: newRequest(cfg, id, fresh)}
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
		c.add(sample)
		pause := c.cfg.Think
		if !sample.Dialed && !sample.Reused {
			pause = max(pause, redialPause)
		}
		if pause > 0 && !wait(pause, stop) {
			return
		}
	}
}

// add counts a request that has ended.
func (c *client) add(s Sample) {
	c.tally.add(s, s.Dialed && c.dials > 1 && !c.fresh)
	if c.cfg.Observe != nil {
		c.cfg.Observe(s)
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
	s.Reused, c.conn.used, s.Local = c.conn.used, true, c.conn.LocalAddr()
	if err := c.conn.SetDeadline(deadline); err != nil {
		fail(Broken, err)
		return s
	}

	c.req.prepare(c.count)
	who, closing, reason, err := c.conn.exchange(c.req, deadline)
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
