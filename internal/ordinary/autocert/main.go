// Command autocert serves TLS with golang.org/x/crypto/acme/autocert, and a certificate in its cache, so that no
// authority is asked.
package main

import (
	"net/http"

	"golang.org/x/crypto/acme/autocert"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	manager := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache("certs"), HostPolicy: autocert.HostWhitelist("ordinary.test"),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.TLS.ServerName + "\n")) })
	host.Serve(&http.Server{Handler: mux, TLSConfig: manager.TLSConfig()})
}
