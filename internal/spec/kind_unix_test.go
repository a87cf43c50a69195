//go:build unix

package spec_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

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
func (k kind) url(s *server) string {
	if k.network == "unix" {
		return k.scheme + "://unix"
	}
	return k.scheme + "://" + s.address
}

// at is where s answers clients of the kind.
func (k kind) at(s *server) load.Config {
	cfg := load.Config{Network: k.network, Addr: s.address, Timeout: patience}
	if k.scheme == "https" {
		cfg.TLS = clientTLS()
	}
	return cfg
}

// fresh makes an HTTP/1.1 client that opens a connection for each request.
func (k kind) fresh(s *server) *http.Client {
	cfg := k.at(s)
	cfg.Fresh = 1
	return &http.Client{Transport: load.NewTransport(cfg)}
}

// client makes a client that keeps its connection. That of HTTP/1.1 sends each request once. http.Transport drops a
// connection of which it does not know within 50 ms that the request has gone out, and on a busy machine it does not.
func (k kind) client(s *server) *http.Client {
	if k.proto == "HTTP/1.1" {
		return &http.Client{Transport: load.NewTransport(k.at(s))}
	}
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, k.network, s.address)
		},
		Protocols: new(http.Protocols),
	}
	if k.scheme == "https" {
		tr.TLSClientConfig = clientTLS()
		tr.Protocols.SetHTTP2(true)
	} else {
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{Transport: tr, Timeout: patience}
}

// clientTLS trusts the site's certificate and asks for its name.
func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: theSite().pool, ServerName: serverName}
}
