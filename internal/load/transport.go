package load

import (
	"io"
	"net/http"
	"time"
)

// Transport is an http.RoundTripper over one HTTP/1.1 connection that sends each request once; http.Transport
// sends many again. It is not for concurrent use, and an answer's body must be closed before the next request.
type Transport struct {
	cfg   Config
	conn  *conn // nil when the next request has to dial
	dials int
}

// NewTransport makes a Transport. Of cfg the address, TLS and Timeout hold, and with a number in Fresh each
// request gets a connection of its own. Over TLS it offers HTTP/2, and a server that takes it is an error.
func NewTransport(cfg Config) *Transport {
	cfg.HTTP2 = false
	cfg = cfg.withDefaults()
	if cfg.TLS != nil {
		cfg.TLS.NextProtos = []string{"h2", "http/1.1"}
	}
	return &Transport{cfg: cfg}
}

// Dials is how many connections were established.
func (t *Transport) Dials() int { return t.dials }

// RoundTrip sends a request and reads the header of its answer.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	deadline := time.Now().Add(t.cfg.Timeout)
	if t.conn == nil {
		c, err := dial(&t.cfg, deadline)
		if err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, err
		}
		t.conn = c
		t.dials++
	}
	_ = t.conn.SetDeadline(deadline) // the next write says it
	req = req.Clone(req.Context())
	req.Close = t.cfg.Fresh > 0
	var resp *http.Response
	err := req.Write(t.conn)
	if err == nil {
		resp, err = http.ReadResponse(t.conn.r, req)
	}
	if err != nil {
		t.CloseIdleConnections()
		return nil, err
	}
	resp.Body = &transportBody{resp.Body, t, resp.Close}
	return resp, nil
}

// CloseIdleConnections closes the connection. The name is the one by which http.Client calls it.
func (t *Transport) CloseIdleConnections() {
	if t.conn != nil {
		t.conn.Close()
		t.conn = nil
	}
}

// transportBody closes the connection behind the last answer on it.
type transportBody struct {
	io.ReadCloser
	t    *Transport
	last bool
}

func (b *transportBody) Close() error {
	err := b.ReadCloser.Close()
	if b.last {
		b.t.CloseIdleConnections()
	}
	return err
}
