//go:build unix

package spec_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/gracex-go/gracex/internal/load"
)

// kind is how a client reaches a server.
type kind struct {
	network string
	scheme  string
	proto   string // what the server must see
	moves   bool   // whether its connections move with an upgrade
}

var (
	plain   = kind{"tcp", "http", "HTTP/1.1", true}
	wrapped = kind{"tcp", "http", "HTTP/1.1", false} // its listener hides the connections
	socket  = kind{"unix", "http", "HTTP/1.1", true}
	h2c     = kind{"tcp", "http", "HTTP/2.0", false}
	secure  = kind{"tcp", "https", "HTTP/2.0", false}
	secure1 = kind{"tcp", "https", "HTTP/1.1", false}
)

// url is where s answers. A unix socket's clients dial its path whatever it says.
func (s *server) url() string {
	if s.kind.network == "unix" {
		return s.kind.scheme + "://unix"
	}
	return s.kind.scheme + "://" + s.address
}

// at is where s answers load.
func (s *server) at() load.Config {
	cfg := load.Config{Network: s.kind.network, Addr: s.address, Timeout: patience}
	if s.kind.scheme == "https" {
		cfg.TLS = clientTLS()
	}
	return cfg
}

// clientTLS trusts the site's certificate and asks for its name.
func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: theSite().pool, ServerName: serverName}
}

// fresh makes an HTTP/1.1 client that opens a connection for each request.
func (s *server) fresh() *http.Client {
	cfg := s.at()
	cfg.Fresh = 1
	return &http.Client{Transport: load.NewTransport(cfg)}
}

// client makes a client that keeps its connection up to the stop. That of HTTP/1.1 sends each request once.
// http.Transport drops a connection of which it does not know within 50 ms that the request has gone out, and on a busy
// machine it does not.
func (s *server) client() *http.Client {
	c := &http.Client{Transport: load.NewTransport(s.at())}
	if s.kind.proto != "HTTP/1.1" {
		tr := &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, s.kind.network, s.address)
			},
			TLSClientConfig: clientTLS(),
			Protocols:       new(http.Protocols),
		}
		tr.Protocols.SetHTTP2(s.kind.scheme == "https")
		tr.Protocols.SetUnencryptedHTTP2(s.kind.scheme == "http")
		c = &http.Client{Transport: tr, Timeout: patience}
	}
	s.clients = append(s.clients, c)
	return c
}

// post returns nil, and has said why, if there is no answer. net/http can't send such a body twice, so the client never
// retries.
func (s *server) post(c *http.Client, path string, body io.Reader) *http.Response {
	s.t.Helper()
	resp, err := c.Post(s.url()+path, "text/plain", io.MultiReader(body))
	if err != nil {
		s.t.Error(err)
		return nil
	}
	return resp
}

// hold sends a request that the current generation answers when it drains, and returns when it has come in.
func (s *server) hold(c *http.Client) <-chan *http.Response {
	s.t.Helper()
	held := make(chan *http.Response, 1)
	s.holding.Go(func() { held <- s.post(c, "/held", strings.NewReader("held")) })
	s.awaitHere("held")
	return held
}

// echoes checks that s's current generation answers.
func (s *server) echoes(c *http.Client, body string) {
	s.t.Helper()
	s.answered(s.post(c, "/", strings.NewReader(body)), body)
}

// answered checks that s's current generation has answered.
func (s *server) answered(resp *http.Response, body string) {
	s.t.Helper()
	if resp == nil {
		return // post has said why
	}
	got := drain(s.t, resp)
	if resp.StatusCode != http.StatusOK || got != body {
		s.t.Errorf("answer %s %q, want %q", resp.Status, got, body)
	}
	if proto := s.kind.proto; resp.Proto != proto || resp.Header.Get("X-Proto") != proto {
		s.t.Errorf("answered as %s, seen as %s, want %s", resp.Proto, resp.Header.Get("X-Proto"), proto)
	}
	by := load.Server{PID: resp.Header.Get("X-Pid"), Generation: resp.Header.Get("X-Generation")}
	if by != s.current() {
		s.t.Errorf("%+v answered; want %+v", by, s.current())
	}
}

// current is how the current generation signs its answers.
func (s *server) current() load.Server {
	return load.Server{PID: strconv.Itoa(s.pid), Generation: strconv.Itoa(s.gen)}
}

// drain reads a body to its end and closes it.
func drain(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

// healthBody is the body of a health check's answer.
type healthBody struct {
	State  string
	Failed []struct{ Check, Error string }
}

func (s *server) health(c *http.Client, path string) (resp *http.Response, body healthBody) {
	s.t.Helper()
	resp, err := c.Get(s.url() + path)
	must(s.t, err)
	text := drain(s.t, resp)
	if err := json.Unmarshal([]byte(text), &body); err != nil {
		s.t.Fatalf("%s %q: %v", resp.Status, text, err)
	}
	return resp, body
}

// healthIs asks and checks status and state.
func (s *server) healthIs(c *http.Client, path string, status int, state string) *http.Response {
	s.t.Helper()
	resp, body := s.health(c, path)
	if resp.StatusCode != status || body.State != state {
		s.t.Errorf("%s: %s %q, want %d %q", path, resp.Status, body.State, status, state)
	}
	return resp
}
