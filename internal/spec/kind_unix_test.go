//go:build unix

package spec_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
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

// client makes a client that keeps its connections, and counts them.
func (k kind) client(s *server) (*http.Client, *atomic.Int32) {
	dials := new(atomic.Int32)
	tr := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials.Add(1)
			return new(net.Dialer).DialContext(ctx, k.network, s.address)
		},
		Protocols: new(http.Protocols),
	}
	switch {
	case k.scheme == "https":
		tr.TLSClientConfig = clientTLS()
		// A server that does not want HTTP/2 must not get it.
		tr.Protocols.SetHTTP1(true)
		tr.Protocols.SetHTTP2(true)
	case k.proto == "HTTP/2.0":
		tr.Protocols.SetUnencryptedHTTP2(true)
	default:
		tr.Protocols.SetHTTP1(true)
	}
	return &http.Client{Transport: tr, Timeout: patience}, dials
}

// clientTLS trusts the site's certificate and asks for its name.
func clientTLS() *tls.Config {
	return &tls.Config{RootCAs: theSite().pool, ServerName: serverName}
}
