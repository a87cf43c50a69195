package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// target is where the program answers.
type target struct {
	addr string // host and port
	path string // with its query
	tls  *tls.Config
}

func newTarget(raw string) (*target, error) {
	u, err := url.Parse(strings.ReplaceAll(raw, portWord, "1"))
	if err != nil {
		return nil, fmt.Errorf("-url: %w", err)
	}
	t := &target{addr: u.Host, path: u.RequestURI()}
	port := "80"
	switch u.Scheme {
	case "http":
	case "https":
		port = "443"
		// Its certificate is not what is tried here.
		t.tls = &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname()}
	default:
		return nil, fmt.Errorf("-url %s: it has to begin with http:// or https://", raw)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("-url %s: no host", raw)
	}
	if u.Port() == "" {
		t.addr = net.JoinHostPort(u.Hostname(), port)
	}
	return t, nil
}

// Ports below those that the system gives to clients (ip_local_port_range), of which
// the load takes many.
const (
	lowPort   = 20000
	portCount = 10000
	portTries = 100
)

// freePort finds a port that nobody listens on.
func freePort() (int, error) {
	var err error
	for range portTries {
		port := lowPort + rand.IntN(portCount)
		var ln net.Listener
		if ln, err = net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			return port, ln.Close()
		}
	}
	return 0, fmt.Errorf("no free port in %d tries: %w", portTries, err)
}

// errNobody: a connection was not accepted by any of the processes.
var errNobody = errors.New("nobody has accepted a connection")

// owner finds out who serves: it asks on a connection of its own, and names the one
// of the processes that has its other end while the request is half sent, so that the
// connection can't move.
func (t *target) owner(g *group, patience time.Duration) (pid int, err error) {
	q, err := t.begin(g, patience)
	if err != nil {
		return 0, err
	}
	return q.pid, q.finish(patience)
}

// question is a request that is half sent.
type question struct {
	target *target
	c      net.Conn
	pid    int // of the process that has to answer it
}

// begin sends half of a request, and returns when one of the processes has the connection.
func (t *target) begin(g *group, patience time.Duration) (q *question, err error) {
	deadline := time.Now().Add(patience)
	c, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", t.addr)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	q = &question{target: t, c: c}
	if t.tls == nil {
		if err := q.sendHalf(); err != nil {
			return nil, err
		}
	}
	for q.pid == 0 {
		inode, err := serverEnd(endOf(c.LocalAddr()), endOf(c.RemoteAddr()))
		if err != nil {
			return nil, err
		}
		if inode != 0 {
			pids := g.programs()
			if i := slices.IndexFunc(pids, func(pid int) bool { return inodes(pid)[inode] }); i >= 0 {
				q.pid = pids[i]
				break
			}
		}
		if time.Now().After(deadline) {
			return nil, errNobody
		}
		time.Sleep(poll)
	}
	if t.tls == nil {
		return q, nil
	}
	q.c = tls.Client(c, t.tls)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	return q, q.sendHalf()
}

func (q *question) sendHalf() error {
	_, err := fmt.Fprintf(q.c, "GET %s HTTP/1.1\r\n", q.target.path)
	return err
}

// finish sends the rest of the request, and reads the answer. Its time begins now: what the search for
// the process has taken is not the program's. On a busy machine with tens of thousands of sockets
// one look into /proc/net/tcp takes seconds.
func (q *question) finish(patience time.Duration) error {
	defer q.c.Close()
	if err := q.c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(q.c, "Host: %s\r\nConnection: close\r\n\r\n", q.target.addr); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(q.c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return nil
}
