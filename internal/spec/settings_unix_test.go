//go:build unix

package spec_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/gracex-go/gracex/core"
)

// A server's own settings hold in every generation: one that gives a client so long for a header closes a connection on
// which the header does not end. One that switches keep-alive off while it serves closes each after its answer.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	each(t, func(m method) bool { return m.slow }, func(t *testing.T, m method) {
		s := start(t, m, "slow header")
		s.expectImpatience()
		s.upgrade(syscall.SIGUSR2)
		s.expectImpatience()
		s.expectKeepAlives(true, "")
		s.expectKeepAlives(false, "off")
		s.expectKeepAlives(false, "")
		s.stop()
	})
}

func (s *server) expectImpatience() {
	s.t.Helper()
	conn, err := net.Dial(s.kind.network, s.address)
	must(s.t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if s.kind.scheme == "https" {
		conn = tls.Client(conn, clientTLS())
	}
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: spec\r\n")
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	// The handshake may have taken all the time.
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		s.t.Errorf("generation %d does not close the connection: %v", s.gen, err)
	}
}

// expectKeepAlives checks whether an answer leaves the connection open.
func (s *server) expectKeepAlives(want bool, set string) {
	s.t.Helper()
	conn, err := net.Dial(s.kind.network, s.address)
	must(s.t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if s.kind.scheme == "https" {
		conn = tls.Client(conn, clientTLS())
	}
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: spec\r\nX-Keep-Alives: "+set+"\r\n\r\n")
	must(s.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(s.t, err)
	drain(s.t, resp)
	if resp.Close == want {
		s.t.Errorf("set %q: the answer says that it closes the connection: %v", set, resp.Close)
	}
}

// Settings that a program gives to http2.ConfigureServer hold, whatever serves HTTP/2: x/net itself, or since Go 1.27
// net/http.
func TestConfigureServer(t *testing.T) {
	t.Parallel()
	u, err := core.New(core.WithSignals(core.Signals{}), core.WithoutControlSocket())
	must(t, err)
	srv := &http.Server{Handler: http.NotFoundHandler()}
	must(t, http2.ConfigureServer(srv, &http2.Server{MaxConcurrentStreams: 7}))
	ln, err := u.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, u.AttachTLS(srv, ln, theSite().file("server.crt"), theSite().file("server.key")))
	must(t, u.Ready())
	config := clientTLS()
	config.NextProtos = []string{"h2"}
	nc, err := tls.Dial("tcp", ln.Addr().String(), config)
	must(t, err)
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(nc, http2.ClientPreface)
	must(t, err)
	fr := http2.NewFramer(nc, nc)
	must(t, fr.WriteSettings())
	f, err := fr.ReadFrame()
	settings, ok := f.(*http2.SettingsFrame)
	if !ok {
		t.Fatalf("%v, %v", f, err)
	}
	if v, _ := settings.Value(http2.SettingMaxConcurrentStreams); v != 7 {
		t.Errorf("the server allows %d streams, want 7", v)
	}
	nc.Close()
	must(t, u.Stop(t.Context()))
}
