package load

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
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
	q, err := newQuestion(cfg, body)
	if err != nil {
		return Answer{}, err
	}
	return q.answer(q.tr.RoundTrip(q.req))
}

// Hold is Ask for a request that takes a while. It returns when the server's handler has begun to read the body.
// The function that it returns waits for the answer, and has to be called.
//
// The request says "Expect: 100-continue", and what comes for that says that the handler reads.
func Hold(cfg Config, body string) (answer func() (Answer, error), err error) {
	q, err := newQuestion(cfg, body)
	if err != nil {
		return nil, err
	}
	q.req.Header.Set("Expect", "100-continue")
	resp, err := q.tr.RoundTrip(q.req)
	if err == nil {
		defer resp.Body.Close() // after a 100 the connection goes on
		if resp.StatusCode != http.StatusContinue {
			err = fmt.Errorf("%s: %w", resp.Status, errNoContinue)
		}
	}
	if err != nil {
		q.tr.CloseIdleConnections()
		return nil, q.explain(err)
	}
	return func() (Answer, error) { return q.answer(http.ReadResponse(q.tr.conn.r, q.req)) }, nil
}

// question is a single request.
type question struct {
	tr  *Transport
	req *http.Request
}

func newQuestion(cfg Config, body string) (*question, error) {
	cfg.Fresh = 1
	tr := NewTransport(cfg)
	req, err := http.NewRequest(tr.cfg.Method, "http://"+tr.cfg.host()+tr.cfg.Path, strings.NewReader(body))
	return &question{tr, req}, err
}

func (q *question) explain(err error) error {
	return fmt.Errorf("%s %s: %w", q.req.Method, q.req.URL.Path, err)
}

// answer reads up to the end of the connection.
func (q *question) answer(resp *http.Response, err error) (a Answer, _ error) {
	defer q.tr.CloseIdleConnections()
	if err != nil {
		return a, q.explain(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a = Answer{serverOf(resp), resp.StatusCode, string(body)}
	if err == nil {
		if _, err = io.Copy(io.Discard, q.tr.conn.r); errors.Is(err, syscall.ECONNRESET) { // a reset closes, too
			err = nil
		}
	}
	if err != nil {
		return a, q.explain(err)
	}
	return a, nil
}
