package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/gracex-go/gracex/core/faultkit/internal/own"
)

// certName is for whom the certificate of net/http/httptest is.
const certName = "example.com"

// writeCertificate puts a certificate for the servers into dir, that of net/http/httptest,
// and returns what their clients need.
func writeCertificate(dir string) (*tls.Config, error) {
	srv := httptest.NewTLSServer(nil)
	defer srv.Close()
	cert := srv.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	for name, block := range map[string]*pem.Block{
		own.Cert: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]},
		own.Key:  {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{RootCAs: roots, ServerName: certName}, nil
}
