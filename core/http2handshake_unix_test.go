//go:build unix

package core

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gracex-go/gracex/core/internal/timing"
	"github.com/gracex-go/gracex/core/internal/wire"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// TestHTTP2Listener_KnowsTLS: whether TLS connections move is known when the server has looked at the first connection.
func TestHTTP2Listener_KnowsTLS(t *testing.T) {
	t.Parallel()
	none := func(net.Conn) (net.Conn, error) { panic("a handshake") }
	for name, tt := range map[string]struct {
		on     bool
		looks  func(nc net.Conn) error
		secure bool
	}{
		"HTTP2Handshake": {true, func(nc net.Conn) error {
			if _, _, err := HTTP2Handshake(nc, none); err != io.EOF { //nolint:errorlint // grpc-go looks for that very error
				t.Errorf("the server hears %v", err)
			}
			return nc.Close()
		}, true},
		"reads":  {true, func(nc net.Conn) error { _, _ = nc.Read(make([]byte, 1)); return nc.Close() }, false},
		"writes": {true, func(nc net.Conn) error { _, err := nc.Write([]byte{1}); return err }, false},
		"closes": {true, net.Conn.Close, false},
		"off":    {false, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := NewTest(t, WithTLSHandoff(tt.on))
			ln := u.HTTP2Listener(u.ListenTest(t), func(ln net.Listener) error { // which moves nothing
				nc, err := ln.Accept()
				if err == nil {
					err = nc.Close()
				}
				return err
			})
			go func() {
				for {
					nc, err := ln.Accept()
					if err != nil {
						return
					}
					must(t, tt.looks(nc))
				}
			}()
			takes := []string{wire.TakesHTTP2}
			if tt.secure {
				takes = append(takes, wire.TakesTLS)
			}
			if got := u.takes(); !slices.Equal(got, takes) {
				t.Errorf("it takes %v, want %v", got, takes)
			}
			local := ln.Addr()
			for _, k := range []kind{{overTLS: false, http2: true}, {overTLS: true, http2: true}} {
				what := wire.Conn{
					Listener: &wire.Listener{Network: "tcp", Address: local.String()}, TLS: btoi(k.overTLS),
				}
				has := u.sideFor(what, k.http2, local) != nil
				if has != (k.overTLS == tt.secure) {
					t.Errorf("%+v: it has the connection: %t", k, has)
				}
			}
		})
	}
}

// TestHTTP2Listener_DoesNotWaitForCredentials: a server that does nothing with the first connection has the others all the
// same. A first process asks nobody else when it is ready.
func TestHTTP2Listener_DoesNotWaitForCredentials(t *testing.T) {
	t.Parallel()
	u := NewTest(t, WithTLSHandoff(true))
	own := u.ListenTest(t)
	synctest.Test(t, func(t *testing.T) {
		l, ok := u.HTTP2Listener(own, nil).(*movingListener)
		if !ok {
			t.Fatal("its connections can't move")
		}
		go func() { <-l.probes }()
		began := time.Now()
		l.ask()
		if waited := time.Since(began); waited != timing.Word || l.isSecure() {
			t.Errorf("it has waited for %v; TLS connections move: %t", waited, l.isSecure())
		}
		l.end()
	})
}

// TestHTTP2Listener_WithoutProbe: nobody knows whether the connections of such a server can move, so they stay.
func TestHTTP2Listener_WithoutProbe(t *testing.T) {
	t.Parallel()
	u := NewTest(t)
	l, ok := u.HTTP2Listener(u.ListenTest(t), nil).(*movingListener)
	if !ok {
		t.Fatal("it is not followed")
	}
	if err := l.side.Moves(); !errors.Is(err, errNoProbe) {
		t.Error(err)
	}
	must(t, l.Close())
}

// TestHTTP2Handshake_ClosedMeanwhile: a connection that somebody has closed during its handshake is not served, and nothing
// of it is left.
func TestHTTP2Handshake_ClosedMeanwhile(t *testing.T) {
	t.Parallel()
	certFile, keyFile, _ := rawhttp.Certificate(t)
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	must(t, err)
	conf := HTTP2TLSConfig("grpc", &tls.Config{Certificates: []tls.Certificate{cert}})
	u := NewTest(t, WithTLSHandoff(true))
	ln := u.HTTP2Listener(u.ListenTest(t), nil)
	defer ln.Close()
	ended := make(chan error, 1)
	go func() {
		nc, err := ln.Accept()
		if err == nil {
			_, _, err = HTTP2Handshake(nc, nil) // of this process to itself
		}
		if err == io.EOF { //nolint:errorlint // as above
			nc, err = ln.Accept()
		}
		if err == nil {
			_, _, err = HTTP2Handshake(nc, func(below net.Conn) (net.Conn, error) {
				tc := tls.Server(below, conf)
				defer nc.Close()
				return tc, tc.Handshake()
			})
		}
		ended <- err
	}()
	must(t, u.Ready())
	nc, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer nc.Close()
	must(t, tls.Client(nc, &tls.Config{InsecureSkipVerify: true}).Handshake())
	if err := <-ended; err != net.ErrClosed { //nolint:errorlint // it is not wrapped
		t.Errorf("HTTP2Handshake returns %v", err)
	}
	if n := u.conns.Count(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
