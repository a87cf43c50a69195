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

// Server is the process that gave an answer, as its headers X-Pid and X-Generation say; each is empty when the answer
// has no such header.
type Server struct {
	PID, Generation string
}

func serverOf(resp *http.Response) Server {
	return Server{PID: resp.Header.Get("X-Pid"), Generation: resp.Header.Get("X-Generation")}
}

// lastRead is how much of an answer is left to be read by itself. A longer read would pass the buffer by, which then
// has nothing of what comes behind.
const lastRead = 1024

// conn is one connection and what is needed to read answers from it.
type conn struct {
	net.Conn
	r    *bufio.Reader
	used bool // has carried a request
}

func (c *conn) String() string { return fmt.Sprintf("%v->%v", c.LocalAddr(), c.RemoteAddr()) }

// What the server has chosen is not what the client has to speak.
var (
	errNotNegotiated = errors.New("the server does not speak HTTP/2")
	errHTTP2         = errors.New("the server wants HTTP/2")
)

// dial connects, and finishes the TLS handshake if there is to be one, so that a failure in it is a failure to connect
// and not to answer.
func dial(cfg *Config, deadline time.Time) (*conn, error) {
	nc, err := (&net.Dialer{Deadline: deadline}).Dial(cfg.Network, cfg.Addr)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		tc := tls.Client(nc, cfg.TLS)
		err := errors.Join(tc.SetDeadline(deadline), tc.Handshake(), tc.SetDeadline(time.Time{}))
		h2 := tc.ConnectionState().NegotiatedProtocol == "h2"
		switch {
		case err != nil:
		case h2 && !cfg.HTTP2:
			err = errHTTP2
		case !h2 && cfg.HTTP2:
			err = errNotNegotiated
		}
		if err != nil {
			nc.Close()
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		nc = tc
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

// answer is one answer whose body has not been read yet.
type answer struct {
	status int
	line   string // the status in words, "200 OK"
	server Server
	tags   []string
	body   io.Reader
	closes bool // it is the connection's last
}

// exchange sends one request and reads its answer. Of a failed one it returns which process
// answered if that is known.
func (c *conn) exchange(q *request, deadline time.Time) (answer, *RequestError) {
	if err := c.SetDeadline(deadline); err != nil {
		return answer{}, failure(Broken, "%w", err)
	}
	if a, failed := c.send(q, deadline); failed != nil {
		return a, failed
	}
	a, failed := c.receive(q)
	if n := c.r.Buffered(); failed == nil && n > 0 {
		failed = failure(Surplus, "%d bytes", n)
	}
	return a, failed
}

// receive reads the answer to a request.
func (c *conn) receive(q *request) (answer, *RequestError) {
	a, failed := c.header(q)
	if failed != nil {
		return a, failed
	}
	want, n := q.wanted(), 0
	var err error
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
	if q.cfg.Any && err == nil {
		_, err = io.Copy(io.Discard, a.body)
	}
	switch {
	case a.status != q.cfg.Status && (!q.cfg.Any || a.status >= http.StatusInternalServerError):
		return a, failure(statusReason(a.status), "body begins %.80q", got)
	case err != nil && !errors.Is(err, io.EOF):
		return a, failure(reasonOf(err, Truncated), "read the body, %d bytes so far: %w", n, cause(err))
	case q.cfg.Any:
	case q.tagged && (len(a.tags) != 1 || a.tags[0] != string(q.tag)):
		return a, failure(WrongTag, "got %q, sent %q", a.tags, q.tag)
	default:
		return a, q.compare(got)
	}
	return a, nil
}

// send writes one request. That is one write, unless the body has to wait for the server or to be slow. A server that
// is named has answered too early.
func (c *conn) send(q *request, deadline time.Time) (answer, *RequestError) {
	from := 0
	write := func(end int) error {
		_, err := c.Write(q.wire[from:end])
		from = end
		return err
	}
	if q.cfg.HeadPause > 0 {
		if err := write(q.bodyAt / 2); err != nil {
			return c.unsent(q, err)
		}
		time.Sleep(min(q.cfg.HeadPause, time.Until(deadline)))
	}
	if q.cfg.Expect {
		if err := write(q.bodyAt); err != nil {
			return c.unsent(q, err)
		}
		a, failed := c.header(q)
		switch {
		case failed != nil:
			return answer{}, failed.in("wait for 100 Continue")
		case a.status != http.StatusContinue:
			return q.early(a, errNoContinue)
		case c.r.Buffered() > 0:
			return answer{}, failure(Early, "%d bytes after 100 Continue", c.r.Buffered())
		}
	}
	for i, end := range q.ends {
		if i > 0 {
			time.Sleep(min(q.cfg.BodyPause, time.Until(deadline)))
		}
		if err := write(end); err != nil {
			return c.unsent(q, err)
		}
	}
	return answer{}, nil
}

// header reads the next answer up to its body.
func (c *conn) header(q *request) (answer, *RequestError) {
	// Apart from the parsing, because an end before the first byte is the loss that a restart causes and an end after
	// it is another fault.
	if _, err := c.r.Peek(1); err != nil {
		return answer{}, failure(reasonOf(err, NoAnswer), "%w", cause(err))
	}
	//nolint:bodyclose // it is read to its end or the connection dropped; Close would read on
	resp, err := http.ReadResponse(c.r, q.asked)
	if err != nil {
		fallback := Malformed
		if errors.Is(err, io.ErrUnexpectedEOF) {
			fallback = Truncated
		}
		return answer{}, failure(reasonOf(err, fallback), "read the header: %w", cause(err))
	}
	return answer{resp.StatusCode, resp.Status, serverOf(resp), resp.Header[tagField], resp.Body, resp.Close}, nil
}

// unsent explains a write that failed. A server that closes before it has read all of a request may have said why.
func (c *conn) unsent(q *request, err error) (answer, *RequestError) {
	failed := failure(reasonOf(err, Broken), "write the request: %w", cause(err))
	if a, unread := c.header(q); unread == nil {
		return q.early(a, failed.Err)
	}
	return answer{}, failed
}

var errNoContinue = errors.New("it came instead of 100 Continue")

// early says what is wrong with a final answer that came while there was still something to send.
func (q *request) early(a answer, err error) (answer, *RequestError) {
	reason := Early
	if a.status != q.cfg.Status {
		reason = statusReason(a.status)
	}
	return a, failure(reason, "answer %s: %w", a.line, err)
}

// compare says what is wrong with an answer's body.
func (q *request) compare(got []byte) *RequestError {
	if want := q.wanted(); !bytes.Equal(got, want) {
		return failure(WrongBody, "got %d bytes %.80q, want %d bytes %.80q", len(got), got, len(want), want)
	}
	return nil
}
