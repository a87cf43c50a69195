package load

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Answer is the whole answer to one request.
type Answer struct {
	Server
	Status int
	Body   string
}

// Ask sends one request with the body, and returns when the server has closed the connection, which is the
// request's own. Of cfg the address, TLS, Method, Path and Timeout hold.
func Ask(cfg Config, body string) (Answer, error) {
	q, err := begin(cfg, body, false)
	if err != nil {
		return Answer{}, err
	}
	return q.answer()
}

// Hold is Ask for a request that takes a while. It returns when the server's handler has begun to read the body.
// The function that it returns waits for the answer, and has to be called.
func Hold(cfg Config, body string) (answer func() (Answer, error), err error) {
	q, err := begin(cfg, body, true)
	if err != nil {
		return nil, err
	}
	return q.answer, nil
}

// question is a request that was sent.
type question struct {
	conn *conn
	req  *http.Request
}

// begin sends a request. One that is held says "Expect: 100-continue", and what comes for that says that the
// handler reads.
func begin(cfg Config, body string, held bool) (*question, error) {
	cfg = cfg.withDefaults()
	req, err := http.NewRequest(cfg.Method, "http://"+cfg.host()+cfg.Path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Close = true
	deadline := time.Now().Add(cfg.Timeout)
	c, err := dial(&cfg, deadline)
	if err != nil {
		return nil, err
	}
	q := &question{c, req}
	if err := errors.Join(c.SetDeadline(deadline), q.send(held)); err != nil {
		c.Close()
		return nil, q.explain(err)
	}
	return q, nil
}

func (q *question) explain(err error) error {
	return fmt.Errorf("%s %s: %w", q.req.Method, q.req.URL.Path, err)
}

func (q *question) send(held bool) error {
	if !held {
		return q.req.Write(q.conn)
	}
	q.req.Header.Set("Expect", "100-continue")
	if err := q.req.Write(q.conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(q.conn.r, q.req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusContinue {
		return fmt.Errorf("%s: %w", resp.Status, errNoContinue)
	}
	return nil
}

func (q *question) answer() (Answer, error) {
	defer q.conn.Close()
	resp, err := http.ReadResponse(q.conn.r, q.req)
	if err != nil {
		return Answer{}, q.explain(err)
	}
	defer resp.Body.Close()
	a := Answer{Server: serverOf(resp), Status: resp.StatusCode}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, q.explain(err)
	}
	a.Body = string(body)
	if _, err := io.Copy(io.Discard, q.conn.r); err != nil && !errors.Is(err, syscall.ECONNRESET) { // a reset closes, too
		return a, q.explain(err)
	}
	return a, nil
}
