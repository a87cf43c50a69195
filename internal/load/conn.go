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
		nc = tc
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

// exchange writes one request in one piece and reads its answer, which has to
// carry body; buf is one byte longer, so that an excess is seen. It says who
// answered as soon as that is known, and whether the connection is at its end.
func (c *conn) exchange(req *http.Request, wire, body, buf []byte) (who Server, closing bool, reason Reason, err error) {
	if _, err := c.Write(wire); err != nil {
		return who, true, reasonOf(err, Broken), fmt.Errorf("write the request: %w", cause(err))
	}
	// Apart from the parsing, because an end before the first byte is the loss
	// that a restart causes and an end after it is another fault.
	if _, err := c.r.Peek(1); err != nil {
		return who, true, reasonOf(err, NoAnswer), cause(err)
	}
	resp, err := http.ReadResponse(c.r, req) //nolint:bodyclose // it is read to its end or the connection dropped; Close would read on
	if err != nil {
		fallback := Malformed
		if errors.Is(err, io.ErrUnexpectedEOF) {
			fallback = Truncated
		}
		return who, true, reasonOf(err, fallback), fmt.Errorf("read the header: %w", cause(err))
	}
	who = Server{PID: resp.Header.Get("X-Pid"), Generation: resp.Header.Get("X-Generation")}

	n := 0
	for err == nil && n < len(buf) {
		var m int
		m, err = resp.Body.Read(buf[n:])
		n += m
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return who, true, Reason(fmt.Sprintf("status %d", resp.StatusCode)), fmt.Errorf("body begins %.80q", buf[:n])
	case err != nil && !errors.Is(err, io.EOF):
		return who, true, reasonOf(err, Truncated), fmt.Errorf("read the body, %d bytes so far: %w", n, cause(err))
	case !bytes.Equal(buf[:n], body):
		return who, true, WrongBody, fmt.Errorf("got %d bytes %.80q, sent %d bytes %.80q", n, buf[:n], len(body), body)
	case c.r.Buffered() > 0:
		return who, true, Surplus, fmt.Errorf("%d bytes", c.r.Buffered())
	}
	return who, resp.Close, "", nil
}

// cause takes the addresses out of an error, which the caller has said already.
func cause(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}
