//go:build unix

package spec_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// serverName is what the certificate is for, besides the loopback address.
const serverName = "spec.test"

// hello is the site's static file.
const hello = "hello, static world\n"

// site is the files that the programs serve and serve with.
type site struct {
	dir  string // static/hello.txt, server.crt, server.key, autocert/
	pool *x509.CertPool
}

func (s *site) file(name string) string { return filepath.Join(s.dir, name) }

// theSite is made once for all tests.
var theSite = sync.OnceValue(func() *site {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	// t.TempDir can be longer than a unix socket's path may be.
	dir, err := os.MkdirTemp("", "spec")
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	// Far from its end, or autocert would ask for another at once.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		DNSNames:     []string{serverName},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pkey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	s := &site{dir: dir, pool: x509.NewCertPool()}
	s.pool.AppendCertsFromPEM(crt)
	for name, content := range map[string][]byte{
		"static/hello.txt":       []byte(hello),
		"server.crt":             crt,
		"server.key":             pkey,
		"autocert/" + serverName: append(pkey, crt...), // as autocert.DirCache keeps it
	} {
		must(os.MkdirAll(filepath.Dir(s.file(name)), 0o700))
		must(os.WriteFile(s.file(name), content, 0o600))
	}
	return s
})
