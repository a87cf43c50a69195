package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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

// errNobody: a connection was not accepted by any of the processes.
var errNobody = errors.New("nobody has accepted a connection")

// owner finds out who serves: it asks on a connection of its own, and names the one
// of the processes that has its other end while the request is half sent, so that the
// connection can't move.
func (t *target) owner(g group, patience time.Duration) (pid int, err error) {
	deadline := time.Now().Add(patience)
	c, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", t.addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return 0, err
	}
	sent := c
	if t.tls == nil {
		if _, err := fmt.Fprintf(sent, "GET %s HTTP/1.1\r\n", t.path); err != nil {
			return 0, err
		}
	}
	for pid == 0 {
		inode, err := serverEnd(endOf(c.LocalAddr()), endOf(c.RemoteAddr()))
		if err != nil {
			return 0, err
		}
		if inode != 0 {
			pids := g.programs()
			if i := slices.IndexFunc(pids, func(pid int) bool { return inodes(pid)[inode] }); i >= 0 {
				pid = pids[i]
				break
			}
		}
		if time.Now().After(deadline) {
			return 0, errNobody
		}
		time.Sleep(poll)
	}
	// It has accepted. What the search has taken is not the program's: on a busy machine with tens of
	// thousands of sockets one look into /proc/net/tcp takes seconds.
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if t.tls != nil {
		sent = tls.Client(c, t.tls)
		if _, err := fmt.Fprintf(sent, "GET %s HTTP/1.1\r\n", t.path); err != nil {
			return 0, err
		}
	}
	if _, err := fmt.Fprintf(sent, "Host: %s\r\nConnection: close\r\n\r\n", t.addr); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(sent), nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode >= http.StatusInternalServerError {
		return 0, fmt.Errorf("it answers %s", resp.Status)
	}
	return pid, nil
}
