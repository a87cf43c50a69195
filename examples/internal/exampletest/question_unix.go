//go:build unix

package exampletest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// Answer is what came back for a request.
type Answer struct {
	Status          int
	Body            string
	PID, Generation string // the headers X-Pid and X-Generation
}

// Ask asks over a connection of its own, and returns when the program has closed it:
// nothing of it is left to be drained then.
func (p *Program) Ask(method, target, body string) Answer {
	p.t.Helper()
	q, err := p.begin(method, target, body, false)
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, target, err)
	}
	a, err := q.answer()
	if err != nil {
		p.t.Fatalf("%s %s: %v", method, target, err)
	}
	return a
}

// Hold posts body to target and returns when the program has read it. The answer is
// waited for by the function that it returns.
func (p *Program) Hold(target, body string) (answer func() (Answer, error)) {
	p.t.Helper()
	q, err := p.begin(http.MethodPost, target, body, true)
	if err != nil {
		p.t.Fatalf("POST %s: %v", target, err)
	}
	return q.answer
}

// question is a request that was sent.
type question struct {
	conn net.Conn
	in   *bufio.Reader
	req  *http.Request
}

// begin sends a request. One that is held says "Expect: 100-continue": what comes for
// that says that a handler reads.
func (p *Program) begin(method, target, body string, held bool) (*question, error) {
	req, err := http.NewRequestWithContext(p.t.Context(), method, "http://"+p.Addr+target, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Close = true
	conn, err := net.DialTimeout("tcp", p.Addr, Patience)
	if err != nil {
		return nil, err
	}
	q := &question{conn: conn, in: bufio.NewReader(conn), req: req}
	if err := q.send(held); err != nil {
		conn.Close()
		return nil, err
	}
	return q, nil
}

func (q *question) send(held bool) error {
	if err := q.conn.SetDeadline(time.Now().Add(Patience)); err != nil {
		return err
	}
	if !held {
		return q.req.Write(q.conn)
	}
	q.req.Header.Set("Expect", "100-continue")
	if err := q.req.Write(q.conn); err != nil {
		return err
	}
	resp, err := http.ReadResponse(q.in, q.req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusContinue {
		return errors.New(resp.Status + " instead of 100 Continue")
	}
	return nil
}

func (q *question) answer() (Answer, error) {
	defer q.conn.Close()
	resp, err := http.ReadResponse(q.in, q.req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	// A reset closes, too.
	if _, err := io.Copy(io.Discard, q.in); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		return Answer{}, err
	}
	return Answer{resp.StatusCode, string(body), resp.Header.Get("X-Pid"), resp.Header.Get("X-Generation")}, nil
}
