//go:build unix

package spec_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// A server's own settings hold in every generation: one that gives a client so long
// for a header closes a connection on which the header does not end.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	eachMethod(t, func(m method) bool { return m.slow }, func(t *testing.T, f framework, m method) {
		s := start(t, f, m, "slow header")
		expectImpatience(t, s, m)
		s.upgrade(syscall.SIGUSR2)
		expectImpatience(t, s, m)
		s.stop()
	})
}

func expectImpatience(t *testing.T, s *server, m method) {
	t.Helper()
	conn, err := net.Dial(m.kind.network, s.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if m.kind.scheme == "https" {
		conn = tls.Client(conn, clientTLS())
	}
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: spec\r\n")
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
	}
	// The handshake may have taken all the time.
	if !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("generation %d does not close the connection: %v", s.gen, err)
	}
}
