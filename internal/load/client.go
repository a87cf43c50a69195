package load

import "time"

// redialPause keeps clients from spinning on a server that is not there: one that refuses would otherwise eat the
// processor that the next process needs to start.
const redialPause = 10 * time.Millisecond

// client sends one request after another. One goroutine owns it.
type client struct {
	cfg   *Config
	id    int
	fresh bool // opens a connection for each request
	run   *Run

	conn  *conn // nil when the next request has to dial
	dials int   // connections established
	count int   // requests started
	req   *request
}

func newClient(cfg *Config, id int, r *Run) *client {
	fresh := id >= max(cfg.Clients, 0)
	return &client{cfg: cfg, id: id, fresh: fresh, run: r, req: newRequest(*cfg, id, fresh)}
}

// work sends requests until the run is stopped. A request that has begun is always brought to its end.
func (c *client) work() {
	defer c.drop()
	for !c.run.stopped() {
		sample := c.once()
		pause := c.cfg.Think
		if !sample.Dialed && !sample.Reused {
			pause = max(pause, redialPause)
		}
		if pause > 0 && !c.run.wait(pause) {
			return
		}
	}
}

// attempt is one request under way.
type attempt struct {
	Sample
	q      *request
	number int // of the client's requests
}

// begin starts a request.
func (c *client) begin(q *request, s Sample) *attempt {
	c.count++
	s.Client = c.id
	if s.Start.IsZero() {
		s.Start = time.Now()
	}
	q.prepare(c.count)
	return &attempt{s, q, c.count}
}

// end counts a request that has ended, well if failed is nil.
func (c *client) end(a *attempt, failed *RequestError) Sample {
	if a.Latency == 0 {
		a.Latency = time.Since(a.Start)
	}
	if failed != nil {
		a.Err = &RequestError{failed.Reason, c.id, a.number, a.Reused, failed.Err}
	}
	c.run.add(a.Sample, a.Dialed && c.dials > 1 && !c.fresh)
	if c.cfg.Observe != nil {
		c.cfg.Observe(a.Sample)
	}
	return a.Sample
}

// once sends one request and reads its answer.
func (c *client) once() Sample {
	a := c.begin(c.req, Sample{})
	deadline := a.Start.Add(c.cfg.Timeout)
	if c.conn == nil {
		if failed := c.dial(deadline); failed != nil {
			return c.end(a, failed)
		}
		a.Dialed = true
	}
	nc := c.conn
	a.Reused, nc.used, a.Local, a.Remote = nc.used, true, nc.LocalAddr(), nc.RemoteAddr()
	got, failed := nc.exchange(c.req, deadline)
	a.Latency, a.Server = time.Since(a.Start), got.server
	if failed != nil {
		failed = failed.in(nc)
	}
	if failed != nil || got.closes || c.fresh {
		c.drop()
	}
	return c.end(a, failed)
}

// dial opens a connection.
func (c *client) dial(deadline time.Time) *RequestError {
	nc, err := dial(c.cfg, deadline)
	if err != nil {
		return failure(reasonOf(err, NotConnected), "%w", err)
	}
	c.conn = nc
	c.dials++
	return nil
}

// drop closes the connection, if there is one.
func (c *client) drop() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
