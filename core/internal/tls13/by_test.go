package tls13

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/gracex-go/gracex/internal/must"
)

// TestServerBy: a connection moves with which somebody else has shaken hands, unless that is not known to be
// crypto/tls's, or is of another config.
func TestServerBy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		conf  *tls.Config
		wraps bool
		stays error
	}{
		"moves":             {conf: Config(serverConfig())},
		"another config":    {conf: serverConfig(), stays: stays(StaysSecrets)},
		"wrapped":           {conf: Config(serverConfig()), wraps: true},
		"wrapped, no other": {conf: serverConfig(), wraps: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := sockets(t)
			c := tls.Client(client, clientConfig())
			shaken := make(chan error, 1)
			go func() { shaken <- c.Handshake() }()
			var below net.Conn
			first, other, err := ServerBy(server, func(nc net.Conn) (net.Conn, error) {
				below = nc
				if _, ok := nc.(syscall.Conn); ok {
					t.Error("grpc-go would wrap the connection")
				}
				tc := tls.Server(nc, tt.conf)
				if err := tc.Handshake(); err != nil || !tt.wraps {
					return tc, err
				}
				return struct{ net.Conn }{tc}, nil
			})
			must.Do(t, err)
			must.Do(t, <-shaken)
			text := fmt.Sprintf("%v %+v %#v", below, below, below)
			if strings.Count(text, "[TLS connection]") != 3 || len(text) > 60 {
				t.Errorf("as text it is %s", text)
			}
			if tt.wraps {
				if first != nil {
					t.Fatal("it is taken for crypto/tls's")
				}
				if *lowerOf(below).told != (told{}) {
					t.Error("the secrets are kept")
				}
				say(t, c, other, []byte("in"))
				say(t, other, c, []byte("out"))
				return
			}
			if tt.stays != nil {
				expectStays(t, first, tt.stays)
				return
			}
			say(t, c, first, []byte("in"))
			moved := move(t, first, server)
			say(t, c, moved, []byte("in again"))
			say(t, moved, c, []byte("out"))
		})
	}
}

// TestServerBy_Fails: the error is the handshake's, a panic goes on, and no secret is kept after either.
func TestServerBy_Fails(t *testing.T) {
	t.Parallel()
	for name, panics := range map[string]bool{"an error": false, "a panic": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := sockets(t)
			var low *lower
			defer func() {
				if p := recover(); (p != nil) != panics {
					t.Errorf("it panics with %v", p)
				}
				if *low.told != (told{}) {
					t.Error("a secret is kept")
				}
			}()
			first, other, err := ServerBy(server, func(nc net.Conn) (net.Conn, error) {
				low = lowerOf(nc)
				low.told.server.size = 1
				if panics {
					panic("GetCertificate")
				}
				return nil, io.ErrUnexpectedEOF
			})
			if first != nil || other != nil || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("it is %v, %v, %v", first, other, err)
			}
		})
	}
}
