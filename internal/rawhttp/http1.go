// Package rawhttp has HTTP clients that do nothing by themselves. A test says every byte or frame
// and sees every answer. What goes wrong fails the test.
package rawhttp

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
)

// Client is an HTTP/1 connection and the answers on it.
type Client struct {
	net.Conn
	t      testing.TB
	Reader *bufio.Reader
}

// Reply is a response with its whole body.
type Reply struct {
	*http.Response
	Body []byte
}

// Dial connects to a TCP address, or to a unix socket if addr is a path. The connection ends with
// the test.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, addr)
	must.Do(t, err)
	t.Cleanup(func() { c.Close() })
	must.Do(t, c.SetDeadline(time.Now().Add(proctest.Patience)))
	return &Client{c, t, bufio.NewReader(c)}
}

// DialTLS is Dial with a handshake.
func DialTLS(t testing.TB, addr string, conf *tls.Config) *Client {
	t.Helper()
	c := Dial(t, addr)
	conf = conf.Clone()
	if conf.ServerName == "" {
		conf.ServerName, _, _ = net.SplitHostPort(addr)
	}
	tc := tls.Client(c.Conn, conf)
	must.Do(t, tc.Handshake())
	return &Client{tc, t, bufio.NewReader(tc)}
}

// Ask sends a GET request.
func (c *Client) Ask(path string) {
	c.t.Helper()
	c.Send("GET " + path + " HTTP/1.1\r\nHost: app\r\n\r\n")
}

// Send writes s.
func (c *Client) Send(s string) {
	c.t.Helper()
	must.Do(c.t, c.SetDeadline(time.Now().Add(proctest.Patience))) // each wait has its own
	_, err := io.WriteString(c, s)
	must.Do(c.t, err)
}

// Answer reads the next response.
func (c *Client) Answer() Reply {
	c.t.Helper()
	resp, err := http.ReadResponse(c.Reader, nil)
	must.Do(c.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must.Do(c.t, err)
	return Reply{resp, body}
}
