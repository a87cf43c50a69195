package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
	"github.com/gracex-go/gracex/core/internal/sockdiag"
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
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	switch {
	case port == "":
		return nil, fmt.Errorf("-url %s: it has to begin with http:// or https://", raw)
	case u.Hostname() == "":
		return nil, fmt.Errorf("-url %s: no host", raw)
	}
	t := &target{addr: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), path: u.RequestURI()}
	if u.Scheme == "https" {
		t.tls = insecure(u.Hostname())
	}
	return t, nil
}

// secure is where the kit's own server speaks TLS.
func (t *target) secure() target {
	_, port, _ := net.SplitHostPort(t.addr)
	return target{net.JoinHostPort(own.SecureHost, port), t.path, insecure(own.SecureHost)}
}

// insecure trusts every server: its certificate is not what is tried here.
func insecure(host string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: host}
}

// freePort finds a port that nobody listens on, below those that the system gives to clients (ip_local_port_range),
// of which the load takes many.
func freePort() (port string, err error) {
	for range 100 {
		port = strconv.Itoa(20000 + rand.IntN(10000))
		var ln net.Listener
		if ln, err = net.Listen("tcp", ":"+port); err == nil {
			return port, ln.Close()
		}
	}
	return "", fmt.Errorf("no free port: %w", err)
}

// owner finds out who serves: it asks on a connection of its own, and names the one of the processes that has its
// other end while the request is half sent, so that the connection can't move.
func (t *target) owner(ctx context.Context, g *group, patience time.Duration) (pid int, err error) {
	q, err := t.begin(ctx, g, patience)
	if err != nil {
		return 0, err
	}
	return q.pid, q.finish(patience)
}

// question is a request that is half sent.
type question struct {
	*target
	net.Conn
	pid int // of the process that has to answer it
}

// begin sends half of a request, and returns when one of the processes has the connection, and has read that half. From
// then on the connection can't move, and the process has to answer. What is not read yet moves with its connection.
func (t *target) begin(ctx context.Context, g *group, patience time.Duration) (q *question, err error) {
	c, err := net.DialTimeout("tcp", t.addr, patience)
	if err != nil {
		return nil, err
	}
	q = &question{target: t, Conn: c}
	if t.tls == nil {
		err = q.sendHalf(patience)
	}
	if err == nil {
		err = q.find(ctx, g, patience)
	}
	if err == nil && t.tls != nil {
		q.Conn = tls.Client(c, t.tls)
		err = q.sendHalf(patience)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return q, nil
}

func (q *question) sendHalf(patience time.Duration) error {
	_ = q.SetDeadline(time.Now().Add(patience)) // of an open connection it can't fail
	_, err := fmt.Fprintf(q, "GET %s HTTP/1.1\r\n", q.path)
	return err
}

// find waits for one of the processes to have the connection.
func (q *question) find(ctx context.Context, g *group, patience time.Duration) (err error) {
	arrived := q.tls != nil // nothing is sent yet
	late := within(ctx, patience, func() bool {
		var c sockdiag.TCP
		before := arrived // what was sent may still be on its way, also on one machine
		arrived, c, err = ends(q.LocalAddr(), q.RemoteAddr())
		if inode := c.Inode; inode != 0 && (before && c.IsRead || q.tls != nil) {
			for _, pid := range g.programs() {
				if inodes(pid)[inode] {
					q.pid = pid
				}
			}
		}
		return err != nil || q.pid != 0
	})
	if late != nil {
		err = fmt.Errorf("nobody has accepted a connection: %w", late)
	}
	return err
}

// finish sends the rest of the request, and reads the answer. Its time begins now: what the search for
// the process has taken is not the program's.
func (q *question) finish(patience time.Duration) error {
	defer q.Close()
	_ = q.SetDeadline(time.Now().Add(patience)) // as in sendHalf
	if _, err := fmt.Fprintf(q, "Host: %s\r\nConnection: close\r\n\r\n", q.addr); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(q), nil)
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
