// Command proxy is httputil.ReverseProxy in front of another server: plain requests, WebSockets and a stream of events
// go through it.
package main

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	backend := &url.URL{Scheme: "http", Host: os.Getenv(host.EnvBackend)}
	host.Serve(&http.Server{Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backend)
			r.SetXForwarded()
		},
	}})
}
