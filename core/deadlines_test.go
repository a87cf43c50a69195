package core

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/gracex-go/gracex/core/internal/conns"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// typedListener is of a type of the program's.
type typedListener struct{ *net.TCPListener }

// TestServer_SparesDeadlines of sockets that the program does not have: one that is set on the socket itself stays then.
func TestServer_SparesDeadlines(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := rawhttp.Certificate(t)
	for name, tt := range map[string]struct {
		program func(srv *http.Server)
		wrap    func(ln net.Listener) net.Listener
		secure  bool
		opts    []Option
		spared  bool
	}{
		"plain":                {spared: true},
		"TLS that moves":       {secure: true, opts: []Option{WithTLSHandoff(true)}, spared: true},
		"TLS that stays":       {secure: true},
		"connections stay":     {opts: []Option{WithConnectionHandoff(false)}},
		"its own listener":     {wrap: func(ln net.Listener) net.Listener { return typedListener{ln.(*net.TCPListener)} }},
		"a ConnState has them": {program: func(srv *http.Server) { srv.ConnState = func(net.Conn, http.ConnState) {} }},
		"a ConnContext has them": {program: func(srv *http.Server) {
			srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return ctx }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			u := NewTest(t, tt.opts...)
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			addr := ln.Addr().String()
			if tt.wrap != nil {
				ln = tt.wrap(ln)
			}
			srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Length", "2")
				fmt.Fprint(w, "ok")
				if r.URL.Path == "/past" { // when the answer is out
					must(t, http.NewResponseController(w).Flush())
					must(t, u.conns.All()[0].NetConn().SetWriteDeadline(conns.LongAgo))
				}
			})}
			if tt.program != nil {
				tt.program(srv)
			}
			dial := net.Dial
			if tt.secure {
				must(t, u.AttachTLS(srv, ln, certFile, keyFile))
				dial = func(network, addr string) (net.Conn, error) {
					return tls.Dial(network, addr, &tls.Config{RootCAs: pool})
				}
			} else {
				must(t, u.Attach(srv, ln))
			}
			must(t, u.Ready())
			nc, err := dial("tcp", addr)
			must(t, err)
			defer nc.Close()
			answers := bufio.NewReader(nc)
			ask := func(path string) error {
				if _, err := fmt.Fprintf(nc, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", path); err != nil {
					return err
				}
				resp, err := http.ReadResponse(answers, nil)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				return err
			}
			must(t, ask("/")) // from here on it is known to speak HTTP/1
			must(t, ask("/past"))
			if err := ask("/"); (err != nil) != tt.spared {
				t.Errorf("spared: %v, %v", err != nil, err)
			}
		})
	}
}
