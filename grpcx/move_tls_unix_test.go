//go:build unix

package grpcx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gracex-go/gracex/internal/must"
	"github.com/gracex-go/gracex/internal/proctest"
	"github.com/gracex-go/gracex/internal/rawhttp"
)

// overTLS are settings of a server over TLS, and the config of its clients.
func overTLS(t *testing.T) (settings, *tls.Config) {
	t.Helper()
	cert, key, roots := rawhttp.Certificate(t)
	return settings{Cert: cert, Key: key, NewTLS: true, TLSHandoff: true}, &tls.Config{RootCAs: roots}
}

// TestMoveTLS_ClientsNoticeNothing is TestMove_ClientsNoticeNothing over TLS. ask looks at what the server knows of that.
func TestMoveTLS_ClientsNoticeNothing(t *testing.T) {
	s, conf := overTLS(t)
	s.Probation = 100 * time.Millisecond
	p := start(t, s)
	p.noticeNothing(3, conf)
}

// clientCertificate makes one that names a workload, and returns its file, too.
func clientCertificate(t *testing.T) (file string, cert tls.Certificate) {
	t.Helper()
	key := must.Get(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the client"}, NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{must.Get(url.Parse("spiffe://example.org/work"))(t)},
	}
	der := must.Get(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	file = filepath.Join(t.TempDir(), "client.pem")
	must.Do(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestMoveTLS_ClientCertificate: handlers know the client by its certificate in each process.
func TestMoveTLS_ClientCertificate(t *testing.T) {
	t.Parallel()
	s, conf := overTLS(t)
	file, cert := clientCertificate(t)
	s.ClientCA, conf.Certificates = file, []tls.Certificate{cert}
	p := start(t, s)
	c := connect(t, p.Addr, conf)
	c.mustAsk(0, 0)
	for _, want := range []string{
		"TLS 1.3", "TLS_AES_128_GCM_SHA256", "h2", "PrivacyAndIntegrity", "spiffe://example.org/work", "CN=the client",
	} {
		if said := *c.secrecy.Load(); !strings.Contains(said, want) {
			t.Errorf("the server knows %q, want %s in that", said, want)
		}
	}
	for n := range 2 {
		p.upgrade(n)
		c.mustAsk(0, n+1)
	}
	if n := c.dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	p.stop()
}

// TestMoveTLS_Stays: connections that can't move, or are not to, stay, and lose no call.
func TestMoveTLS_Stays(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		with func(s *settings, conf *tls.Config)
		next func(s *settings) // of the next version
		why  string
	}{
		"TLS 1.2":                     {with: func(_ *settings, conf *tls.Config) { conf.MaxVersion = tls.VersionTLS12 }, why: "version"},
		"without the option":          {with: func(s *settings, _ *tls.Config) { s.TLSHandoff = false }},
		"credentials of grpc-go":      {with: func(s *settings, _ *tls.Config) { s.NewTLS = false }},
		"a listener that is wrapped":  {with: func(s *settings, _ *tls.Config) { s.Wraps = true }},
		"the next without the option": {next: func(s *settings) { s.TLSHandoff = false }},
		"the next with grpc-go's":     {next: func(s *settings) { s.NewTLS = false }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, conf := overTLS(t)
			if tt.with != nil {
				tt.with(&s, conf)
			}
			p := start(t, s)
			if tt.next != nil {
				tt.next(&p.settings)
				p.write()
			}
			p.staysButLosesNothing(conf, tt.why)
		})
	}
}

// TestMoveTLS_ChaCha20 is TestMoveTLS_Stays for a client on a machine without AES instructions.
func TestMoveTLS_ChaCha20(t *testing.T) {
	t.Setenv("GODEBUG", "cpu.aes=off")
	if !proctest.Apart(t) {
		return
	}
	s, conf := overTLS(t)
	s.Env = "GODEBUG="
	start(t, s).staysButLosesNothing(conf, "suite")
}

// staysButLosesNothing upgrades the program. Its clients have to connect anew, for the reason that the ledger counts.
func (p *running) staysButLosesNothing(conf *tls.Config, why string) {
	t := p.t
	t.Helper()
	c := connect(t, p.Addr, conf)
	c.mustAsk(0, 0)
	if said := *c.secrecy.Load(); strings.Contains(said, "CHACHA20") != (why == "suite") {
		t.Errorf("the server knows %q", said)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, kind := range kinds {
		wg.Go(func() { kind.goOn(t, c, stop, func() {}) })
	}
	p.upgrade(0)
	proctest.Await(t, "it connects anew", func() bool { return must.Get(c.ask(0))(t) == "1" })
	close(stop)
	wg.Wait()
	if n := c.dials.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
	p.stop()
	ledger := "ledger.stayed_http2_streams=0 ledger.stayed_http2_refused=0 ledger.stayed_http2_other=0 ledger.moved_tls=0"
	for _, reason := range []string{"version", "suite", "key", "other"} {
		n := 0
		if reason == why {
			n = 1
		}
		ledger += fmt.Sprintf(" ledger.stayed_tls_%s=%d", reason, n)
	}
	if p.Log.Count(ledger) < 1 {
		t.Errorf("the ledger does not have %s", ledger)
	}
}

// TestMoveTLS_NextInTheClear: no connection over TLS comes to a server that has none.
func TestMoveTLS_NextInTheClear(t *testing.T) {
	t.Parallel()
	s, conf := overTLS(t)
	p := start(t, s)
	secure := connect(t, p.Addr, conf)
	secure.mustAsk(0, 0)
	p.Cert = ""
	p.write()
	p.upgrade(0)
	inClear := connect(t, p.Addr, nil)
	inClear.mustAsk(0, 1)
	p.Cert = s.Cert
	p.write()
	p.upgrade(1)
	secure.mustAsk(0, 2)
	if _, err := inClear.ask(0); err == nil {
		t.Error("a server over TLS answers in the clear")
	}
	p.stop()
	if p.Log.Count("ledger.moved=0 ") != 3 {
		t.Error("a connection has moved")
	}
}
