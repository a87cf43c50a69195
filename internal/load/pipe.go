package load

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"time"
)

const (
	maxFirstPause = 200 * time.Millisecond // a connection is idle for up to this, and never used
	maxPieces     = 4
	maxPiecePause = 5 * time.Millisecond
	surplusTime   = 10 * time.Millisecond // for what should not come behind the last answer
)

// pipe sends requests without waiting for answers until the run is stopped.
func (c *client) pipe() {
	for !c.run.stopped() {
		failed := c.open()
		if failed == nil {
			failed = c.converse()
		}
		c.drop()
		if failed != nil {
			c.run.wait(redialPause)
		}
	}
}

// open dials, and asks for the echo if there is to be one.
func (c *client) open() *RequestError {
	began := time.Now()
	deadline := began.Add(c.cfg.Timeout)
	failed := c.dial(deadline)
	if failed != nil {
		c.end(c.start(Sample{Start: began}), failed)
	}
	if failed != nil || !c.cfg.Echo {
		return failed
	}
	a := c.start(Sample{Start: began, Dialed: true, Local: c.conn.LocalAddr(), Remote: c.conn.RemoteAddr()})
	c.conn.used = true
	failed = c.askForEcho(a, deadline)
	c.end(a, failed)
	return failed
}

func (c *client) askForEcho(a *attempt, deadline time.Time) *RequestError {
	err := c.conn.SetReadDeadline(deadline)
	if err == nil {
		upgrade := "echo"
		if c.cfg.WebSocket {
			upgrade = webSocketUpgrade
		}
		_, err = fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
			c.cfg.Path, c.cfg.host(), upgrade)
	}
	if err != nil {
		return failure(Broken, "%w", err)
	}
	got, failed := c.conn.header(a.q)
	a.Server = got.server
	if failed == nil && got.status != http.StatusSwitchingProtocols {
		return failure(statusReason(got.status), "it will not echo")
	}
	return failed
}

// start begins a request of any length.
func (c *client) start(s Sample) *attempt {
	cfg := *c.cfg
	cfg.BodySize = rand.IntN(cfg.BodySize + 1)
	return c.begin(newRequest(cfg, c.id, false), s)
}

// converse sends requests over the connection and reads the answers. After an error nothing of the connection is left.
func (c *client) converse() (failed *RequestError) {
	nc, sent, gone := c.conn, make(chan *attempt, c.cfg.Pipeline), make(chan struct{})
	go func() {
		defer close(sent)
		c.write(sent, gone)
	}()
	for a := range sent {
		if failed == nil {
			if a.Server, failed = c.receive(a.q); failed != nil {
				failed = failed.in(nc)
				close(gone)
				nc.Close() // nobody waits for it any more
			}
		}
		c.end(a, failed)
	}
	if failed == nil {
		if failed = c.surplus(); failed != nil {
			c.end(c.start(Sample{Reused: true}), failed)
		}
	}
	return failed
}

// write sends requests, each after it is on its way in sent, until gone is closed or the run is stopped. No connection
// is left without any.
func (c *client) write(sent chan<- *attempt, gone <-chan struct{}) {
	for pause := maxFirstPause; c.run.wait(upTo(pause)) || !c.conn.used; pause = c.cfg.Think {
		var batch []byte
		// No more than half of what there is room for: the rest is written already, and its answers make room.
		for range 1 + rand.IntN(max(c.cfg.Pipeline/2, 1)) {
			a := c.start(Sample{Dialed: !c.conn.used, Reused: c.conn.used, Local: c.conn.LocalAddr(), Remote: c.conn.RemoteAddr()})
			c.conn.used = true
			select {
			case sent <- a:
			case <-gone:
				return
			}
			switch {
			case c.cfg.WebSocket:
				batch = appendMessage(batch, a.q.body)
			case c.cfg.Echo:
				batch = append(batch, a.q.body...)
			default:
				batch = append(batch, a.q.wire...)
			}
		}
		if writePieces(c.conn, batch) != nil {
			return // the reader will notice, too
		}
	}
}

// writePieces writes in some pieces, sometimes with pauses.
func writePieces(w io.Writer, b []byte) error {
	for pieces := rand.IntN(maxPieces); pieces > 0 && len(b) > 0; pieces-- {
		n := rand.IntN(len(b))
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
		if rand.IntN(2) == 0 {
			time.Sleep(upTo(maxPiecePause))
		}
	}
	_, err := w.Write(b)
	return err
}

// receive reads what has to come back next.
func (c *client) receive(q *request) (Server, *RequestError) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.cfg.Timeout)); err != nil {
		return Server{}, failure(Broken, "%w", err)
	}
	if c.cfg.WebSocket {
		return Server{}, c.conn.receiveMessage(q)
	}
	if !c.cfg.Echo {
		a, failed := c.conn.receive(q)
		if failed == nil && a.closes {
			failed = failure(Left, "it says Connection: close")
		}
		return a.server, failed
	}
	got := q.buf[:len(q.body)]
	if n, err := io.ReadFull(c.conn.r, got); err != nil {
		return Server{}, failure(reasonOf(err, Truncated), "%d bytes of %d: %w", n, len(got), cause(err))
	}
	return Server{}, q.compare(got)
}

// surplus waits a little for what comes behind the last answer.
func (c *client) surplus() *RequestError {
	err := c.conn.SetReadDeadline(time.Now().Add(surplusTime))
	if err != nil {
		return failure(Surplus, "%w", err)
	}
	n, err := c.conn.r.Read(make([]byte, minBuffer))
	switch {
	case n > 0:
		return failure(Surplus, "%d bytes", n)
	case c.cfg.Echo && !errors.Is(err, os.ErrDeadlineExceeded):
		return failure(Surplus, "after the last byte: %w", cause(err))
	}
	return nil // a server may close what is idle
}

// upTo is a random time of up to d.
func upTo(d time.Duration) time.Duration { return rand.N(d + 1) }
