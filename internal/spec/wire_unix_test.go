//go:build unix

package spec_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// wire is a RoundTripper over one HTTP/1.1 connection that never sends a request
// twice, as http.Transport does with many. It is not for concurrent use, and an
// answer's body must be closed before the next request.
type wire struct {
	kind  kind
	s     *server
	fresh bool // a connection for each request

	conn  net.Conn
	r     *bufio.Reader
	dials int
}

// newWire makes a client with a wire.
func newWire(k kind, s *server, fresh bool) *http.Client {
	return &http.Client{Transport: &wire{kind: k, s: s, fresh: fresh}}
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if w.conn == nil {
		conn, err := w.dial(req.Context())
		if err != nil {
			return nil, err
		}
		w.conn, w.r = conn, bufio.NewReader(conn)
		w.dials++
	}
	_ = w.conn.SetDeadline(time.Now().Add(patience))
	req = req.Clone(context.WithoutCancel(req.Context()))
	req.Close = w.fresh
	err := req.Write(w.conn)
	if err != nil {
		w.CloseIdleConnections()
		return nil, err
	}
	resp, err := http.ReadResponse(w.r, req)
	if err != nil {
		w.CloseIdleConnections()
		return nil, err
	}
	resp.Body = &wireBody{resp.Body, w, resp.Close}
	return resp, nil
}

func (w *wire) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, w.kind.network, w.s.address)
	if err != nil || w.kind.scheme != "https" {
		return conn, err
	}
	config := clientTLS()
	// A server that does not want HTTP/2 must not get it.
	config.NextProtos = []string{"h2", "http/1.1"}
	secure := tls.Client(conn, config)
	err = secure.HandshakeContext(ctx)
	if proto := secure.ConnectionState().NegotiatedProtocol; err == nil && proto == "h2" {
		err = errors.New("the server wants HTTP/2")
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

// CloseIdleConnections closes the connection; http.Client calls it by this name.
func (w *wire) CloseIdleConnections() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

// wireBody closes the connection behind the last answer on it.
type wireBody struct {
	io.ReadCloser
	w    *wire
	last bool
}

func (b *wireBody) Close() error {
	err := b.ReadCloser.Close()
	if b.last {
		b.w.CloseIdleConnections()
	}
	return err
}
