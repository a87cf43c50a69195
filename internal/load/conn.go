package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Server is the process that gave an answer, as its headers X-Pid and
// X-Generation say; each is empty when the answer has no such header.
type Server struct {
	PID, Generation string
}

func serverOf(resp *http.Response) Server {
	return Server{PID: resp.Header.Get("X-Pid"), Generation: resp.Header.Get("X-Generation")}
}

// lastRead is how much of an answer is left to be read by itself. A longer read
// would pass the buffer by, which then has nothing of what comes behind.
const lastRead = 1024

// conn is one connection and what is needed to read answers from it.
type conn struct {
	net.Conn
	r    *bufio.Reader
	used bool // has carried a request
}

// dial connects, and finishes the TLS handshake if there is to be one, so that
// a failure in it is a failure to connect and not to answer.
func dial(cfg *Config, deadline time.Time) (*conn, error) {
	d := net.Dialer{Deadline: deadline}
	nc, err := d.Dial(cfg.Network, cfg.Addr)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		tc := tls.Client(nc, cfg.TLS)
		if err := errors.Join(tc.SetDeadline(deadline), tc.Handshake()); err != nil {
			nc.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		if h2 := tc.ConnectionState().NegotiatedProtocol == "h2"; h2 != cfg.HTTP2 {
			nc.Close()
			if h2 {
				return nil, errHTTP2
			}
			return nil, errNotNegotiated
		}
		nc = tc
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

// answer is one answer whose body has not been read yet.
type answer struct {
	status int
	line   string // the status in words, "200 OK"
	who    Server
	tags   []string
	body   io.Reader
	closes bool // it is the connection's last
}

// exchange sends one request and reads its answer. It says who answered as soon
// as that is known, and whether the connection is at its end.
func (c *conn) exchange(q *request, deadline time.Time) (who Server, closing bool, reason Reason, err error) {
	if who, reason, err = c.send(q, deadline); err != nil {
		return who, true, reason, err
	}
	if who, closing, reason, err = c.receive(q); err == nil && c.r.Buffered() > 0 {
		return who, true, Surplus, fmt.Errorf("%d bytes", c.r.Buffered())
	}
	return who, closing, reason, err
}

// receive reads the answer to a request.
func (c *conn) receive(q *request) (who Server, closing bool, reason Reason, err error) {
	a, reason, err := c.header(q)
	if err != nil {
		return who, true, reason, err
	}
	if q.lenient {
		return c.skip(a)
	}
	want, n := q.wanted(), 0
	for err == nil && n < len(q.buf) {
		end := len(q.buf)
		if bulk := len(want) - lastRead; n < bulk {
			end = bulk
		}
		var m int
		m, err = a.body.Read(q.buf[n:end])
		n += m
	}
	got := q.buf[:n]
	switch {
	case a.status != q.status:
		return a.who, true, statusReason(a.status), fmt.Errorf("body begins %.80q", got)
	case err != nil && !errors.Is(err, io.EOF):
		return a.who, true, reasonOf(err, Truncated), fmt.Errorf("read the body, %d bytes so far: %w", n, cause(err))
	case q.tagged && (len(a.tags) != 1 || a.tags[0] != string(q.tag)):
		return a.who, true, WrongTag, fmt.Errorf("got %q, sent %q", a.tags, q.tag)
	case !bytes.Equal(got, want):
		return a.who, true, WrongBody, fmt.Errorf("got %d bytes %.80q, want %d bytes %.80q", n, got, len(want), want)
	}
	return a.who, a.closes, "", nil
}

// skip reads the rest of an answer that may say what it will.
func (c *conn) skip(a answer) (who Server, closing bool, reason Reason, err error) {
	n, err := io.Copy(io.Discard, a.body)
	switch {
	case err != nil:
		return a.who, true, reasonOf(err, Truncated), fmt.Errorf("read the body, %d bytes so far: %w", n, cause(err))
	case a.status >= http.StatusInternalServerError:
		return a.who, true, statusReason(a.status), errors.New("the server has failed")
	}
	return a.who, a.closes, "", nil
}

// send writes one request. That is one write, unless the body has to wait for
// the server or to be slow. A server that is named has answered too early.
func (c *conn) send(q *request, deadline time.Time) (Server, Reason, error) {
	from := 0
	if q.headPause > 0 {
		from = q.bodyAt / 2
		if _, err := c.Write(q.wire[:from]); err != nil {
			return c.unsent(q, err)
		}
		time.Sleep(min(q.headPause, time.Until(deadline)))
	}
	if q.expect {
		if _, err := c.Write(q.wire[from:q.bodyAt]); err != nil {
			return c.unsent(q, err)
		}
		from = q.bodyAt
		a, reason, err := c.header(q)
		switch {
		case err != nil:
			return Server{}, reason, fmt.Errorf("wait for 100 Continue: %w", err)
		case a.status != http.StatusContinue:
			return early(q, a, errNoContinue)
		case c.r.Buffered() > 0:
			return Server{}, Early, fmt.Errorf("%d bytes after 100 Continue", c.r.Buffered())
		}
	}
	for i, end := range q.ends {
		if i > 0 {
			time.Sleep(min(q.pause, time.Until(deadline)))
		}
		if _, err := c.Write(q.wire[from:end]); err != nil {
			return c.unsent(q, err)
		}
		from = end
	}
	return Server{}, "", nil
}

// header reads the next answer up to its body.
func (c *conn) header(q *request) (answer, Reason, error) {
	// Apart from the parsing, because an end before the first byte is the loss
	// that a restart causes and an end after it is another fault.
	if _, err := c.r.Peek(1); err != nil {
		return answer{}, reasonOf(err, NoAnswer), cause(err)
	}
	resp, err := http.ReadResponse(c.r, q.asked) //nolint:bodyclose // it is read to its end or the connection dropped; Close would read on
	if err != nil {
		fallback := Malformed
		if errors.Is(err, io.ErrUnexpectedEOF) {
			fallback = Truncated
		}
		return answer{}, reasonOf(err, fallback), fmt.Errorf("read the header: %w", cause(err))
	}
	return answer{resp.StatusCode, resp.Status, serverOf(resp), resp.Header[tagField], resp.Body, resp.Close}, "", nil
}

// unsent explains a write that failed. A server that closes before it has read
// all of a request may have said why.
func (c *conn) unsent(q *request, err error) (Server, Reason, error) {
	failed := fmt.Errorf("write the request: %w", cause(err))
	if a, _, err := c.header(q); err == nil {
		return early(q, a, failed)
	}
	return Server{}, reasonOf(err, Broken), failed
}

var errNoContinue = errors.New("it came instead of 100 Continue")

// early says what is wrong with a final answer that came while there was still
// something to send.
func early(q *request, a answer, err error) (Server, Reason, error) {
	reason := Early
	if a.status != q.status {
		reason = statusReason(a.status)
	}
	return a.who, reason, fmt.Errorf("answer %s: %w", a.line, err)
}

// cause takes the addresses out of an error, which the caller has said already.
func cause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}
