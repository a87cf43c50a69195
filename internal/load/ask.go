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
	answer, err := ask(cfg, body, false)
	if err != nil {
		return Answer{}, err
	}
	return answer()
}

// Hold is Ask for a request that takes a while. It returns when the server's handler has begun to read the body.
// The function that it returns waits for the answer, and has to be called.
func Hold(cfg Config, body string) (answer func() (Answer, error), err error) {
	return ask(cfg, body, true)
}

// ask sends a request. One that is held says "Expect: 100-continue", and what comes for that says that the
// handler reads.
func ask(cfg Config, body string, held bool) (answer func() (Answer, error), err error) {
	cfg = cfg.withDefaults()
	req, err := http.NewRequest(cfg.Method, "http://"+cfg.host()+cfg.Path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	explain := func(err error) error { return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err) }
	req.Close = true
	if held {
		req.Header.Set("Expect", "100-continue")
	}
	deadline := time.Now().Add(cfg.Timeout)
	c, err := dial(&cfg, deadline)
	if err != nil {
		return nil, err
	}
	if err = errors.Join(c.SetDeadline(deadline), req.Write(c)); err == nil && held {
		err = c.awaitContinue(req)
	}
	if err != nil {
		c.Close()
		return nil, explain(err)
	}
	return func() (Answer, error) {
		a, err := c.answer(req)
		if err != nil {
			return a, explain(err)
		}
		return a, nil
	}, nil
}

func (c *conn) awaitContinue(req *http.Request) error {
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusContinue {
		return fmt.Errorf("%s: %w", resp.Status, errNoContinue)
	}
	return nil
}

// answer reads up to the end of the connection.
func (c *conn) answer(req *http.Request) (Answer, error) {
	defer c.Close()
	resp, err := http.ReadResponse(c.r, req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	a := Answer{serverOf(resp), resp.StatusCode, string(body)}
	if err != nil {
		return a, err
	}
	if _, err := io.Copy(io.Discard, c.r); err != nil && !errors.Is(err, syscall.ECONNRESET) { // a reset closes, too
		return a, err
	}
	return a, nil
}
