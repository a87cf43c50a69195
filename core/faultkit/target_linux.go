package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
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
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	switch {
	case port == "":
		return nil, fmt.Errorf("-url %s: it has to begin with http:// or https://", raw)
	case u.Hostname() == "":
		return nil, fmt.Errorf("-url %s: no host", raw)
	}
	t := &target{addr: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port)), path: u.RequestURI()}
	if u.Scheme == "https" {
		t.tls = &tls.Config{InsecureSkipVerify: true, ServerName: u.Hostname()} // its certificate is not what is tried here
	}
	return t, nil
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
		var c tcpConn
		before := arrived // what was sent may still be on its way, also on one machine
		arrived, c, err = ends(endOf(q.LocalAddr()), endOf(q.RemoteAddr()))
		if inode := c.inode; inode != "" && (before && c.read || q.tls != nil) {
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
// the process has taken is not the program's. On a busy machine with tens of thousands of sockets
// one look into /proc/net/tcp takes seconds.
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

// The states of sockets in /proc/net/tcp that are no connections of a process (include/net/tcp_states.h). Tens of
// thousands may be in TIME_WAIT; no other column has two digits.
const (
	tcpListen   = "0A"
	tcpTimeWait = " 06 "
	emptyQueue  = "00000000"
)

// tcpConn is a line of /proc/net/tcp, see proc_net_tcp.txt of the kernel: a connection that a process has.
type tcpConn struct {
	local, remote, inode string
	acked                bool // the other end has all that was sent
	read                 bool // nothing is in the receive queue
}

// tcpConns reads both families' tables.
func tcpConns() (all []tcpConn, err error) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a system without IPv6
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, tcpTimeWait) {
				continue
			}
			f := strings.Fields(line) // sl local_address rem_address st queues tr:when retrnsmt uid timeout inode
			if len(f) < 10 {
				return nil, fmt.Errorf("%s: %q", name, line)
			}
			if f[3] != tcpListen && f[9] != "0" { // accepted, and not closed
				// An IPv4 client of a socket for both families is in the table of IPv6.
				sent, received, _ := strings.Cut(f[4], ":")
				all = append(all, tcpConn{
					strings.TrimPrefix(f[1], mapped), strings.TrimPrefix(f[2], mapped), f[9], sent == emptyQueue, received == emptyQueue,
				})
			}
		}
	}
	return all, nil
}

// mapped is what an IPv4 address begins with in the table of IPv6.
var mapped = words(net.IPv4(0, 0, 0, 0)[:12])

// words writes an address as the tables do: words of 32 bits, each a number in the machine's byte order.
func words(ip net.IP) (s string) {
	for ; len(ip) > 0; ip = ip[4:] {
		s += fmt.Sprintf("%08X", binary.NativeEndian.Uint32(ip))
	}
	return s
}

// endOf is the address of one end of a TCP connection, as in the tables; empty for another one.
func endOf(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%04X", strings.TrimPrefix(words(t.IP.To16()), mapped), t.Port)
}

// inodes lists the sockets that a process has.
func inodes(pid int) map[string]bool {
	found := map[string]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, _ := os.ReadDir(dir) // none if it is gone
	for _, f := range files {
		target, _ := os.Readlink(filepath.Join(dir, f.Name()))
		if rest, ok := strings.CutPrefix(target, "socket:["); ok {
			found[strings.TrimSuffix(rest, "]")] = true
		}
	}
	return found
}

// clientsOf lists the clients' ends of the connections that a process has.
func clientsOf(pid int) (map[string]bool, error) {
	all, err := tcpConns()
	own, clients := inodes(pid), map[string]bool{}
	for _, c := range all {
		if own[c.inode] {
			clients[c.remote] = true
		}
	}
	return clients, err
}

// ends looks at a connection of this machine with itself: whether all that the client has sent has arrived, and the
// server's end, which has no inode if nobody has accepted the connection yet.
func ends(client, server string) (arrived bool, end tcpConn, err error) {
	all, err := tcpConns()
	for _, c := range all {
		switch {
		case c.remote == client && c.local == server:
			end = c
		case c.remote == server && c.local == client:
			arrived = c.acked
		}
	}
	return arrived, end, err
}
