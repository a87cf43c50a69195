package load

import (
	"bytes"
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

var errLastAnswer = errors.New("it is the connection's last")

// onWay is a request whose answer has not come yet.
type onWay struct {
	q      *request
	sample Sample
	number int // of the client's requests
}

// pipe sends requests without waiting for answers until stop is closed.
func (c *client) pipe(stop <-chan struct{}) {
	for !isClosed(stop) {
		err := c.open()
		if err == nil {
			err = c.converse(stop)
		}
		c.drop()
		if err != nil {
			wait(redialPause, stop)
		}
	}
}

// open dials, and asks for the echo if there is to be one.
func (c *client) open() (err error) {
	s := Sample{Start: time.Now(), Client: c.id}
	deadline := s.Start.Add(c.cfg.Timeout)
	if c.conn, err = dial(c.cfg, deadline); err != nil {
		c.finish(c.start(s), reasonOf(err, NotConnected), err)
		return err
	}
	c.dials++
	if !c.cfg.Echo {
		return nil
	}
	s.Dialed, c.conn.used, s.Local = true, true, c.conn.LocalAddr()
	w := c.start(s)
	reason := Broken
	err = c.conn.SetReadDeadline(deadline)
	if err == nil {
		_, err = fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", c.cfg.Path, c.cfg.host())
	}
	if err == nil {
		var a answer
		a, reason, err = c.conn.header(w.q)
		w.sample.Server = a.who
		if err == nil && a.status != http.StatusSwitchingProtocols {
			reason, err = statusReason(a.status), errors.New("it will not echo")
		}
	}
	c.finish(w, reason, err)
	return err
}

// start begins a request.
func (c *client) start(s Sample) onWay {
	cfg := *c.cfg
	cfg.BodySize = rand.IntN(cfg.BodySize + 1)
	c.count++
	w := onWay{q: newRequest(&cfg, c.id, false), sample: s, number: c.count}
	w.q.prepare(w.number)
	return w
}

// finish counts a request that has ended, well or not.
func (c *client) finish(w onWay, reason Reason, err error) {
	w.sample.Latency = time.Since(w.sample.Start)
	if err != nil {
		w.sample.Err = &RequestError{Reason: reason, Client: c.id, Request: w.number, Reused: w.sample.Reused, Err: err}
	}
	c.add(w.sample)
}

// converse sends requests over the connection and reads the answers. After an error
// nothing of the connection is left.
func (c *client) converse(stop <-chan struct{}) (err error) {
	nc, sent, gone := c.conn, make(chan onWay, c.cfg.Pipeline), make(chan struct{})
	go func() {
		defer close(sent)
		c.write(sent, gone, stop)
	}()
	var reason Reason
	for w := range sent {
		if err == nil {
			if w.sample.Server, reason, err = c.answer(w.q); err != nil {
				err = fmt.Errorf("%v->%v: %w", nc.LocalAddr(), nc.RemoteAddr(), err)
				close(gone)
				nc.Close() // nobody waits for it any more
			}
		}
		c.finish(w, reason, err)
	}
	if err == nil {
		if err = c.surplus(); err != nil {
			c.finish(c.start(Sample{Start: time.Now(), Client: c.id, Reused: true}), Surplus, err)
		}
	}
	return err
}

// write sends requests, each after it is on its way in sent, until stop or gone is closed.
// No connection is left without any.
func (c *client) write(sent chan<- onWay, gone, stop <-chan struct{}) {
	for pause := maxFirstPause; wait(upTo(pause), stop) || !c.conn.used; pause = c.cfg.Think {
		var batch []byte
		// No more than half of what there is room for: the rest is written already,
		// and its answers make room.
		for range 1 + rand.IntN(max(c.cfg.Pipeline/2, 1)) {
			w := c.start(Sample{Start: time.Now(), Client: c.id, Dialed: !c.conn.used, Reused: c.conn.used, Local: c.conn.LocalAddr()})
			c.conn.used = true
			select {
			case sent <- w:
			case <-gone:
				return
			}
			wire := w.q.wire
			if c.cfg.Echo {
				wire = w.q.body
			}
			batch = append(batch, wire...)
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

// answer reads what has to come back next.
func (c *client) answer(q *request) (who Server, reason Reason, err error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(c.cfg.Timeout)); err != nil {
		return who, Broken, err
	}
	if !c.cfg.Echo {
		who, closing, reason, err := c.conn.receive(q)
		if err == nil && closing {
			return who, NoAnswer, errLastAnswer
		}
		return who, reason, err
	}
	got := q.buf[:len(q.body)]
	switch n, err := io.ReadFull(c.conn.r, got); {
	case err != nil:
		return who, reasonOf(err, Truncated), fmt.Errorf("%d bytes of %d: %w", n, len(got), cause(err))
	case !bytes.Equal(got, q.body):
		return who, WrongBody, fmt.Errorf("got %d bytes %.80q, want %.80q", n, got, q.body)
	}
	return who, "", nil
}

// surplus waits a little for what comes behind the last answer.
func (c *client) surplus() error {
	if err := c.conn.SetReadDeadline(time.Now().Add(surplusTime)); err != nil {
		return err
	}
	n, err := c.conn.r.Read(make([]byte, minBuffer))
	switch {
	case n > 0:
		return fmt.Errorf("%d bytes", n)
	case c.cfg.Echo && !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("after the last byte: %w", cause(err))
	}
	return nil // a server may close what is idle
}

// upTo is a random time of up to d.
func upTo(d time.Duration) time.Duration { return rand.N(d + 1) }
