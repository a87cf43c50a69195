// Command pprof has net/http/pprof on the port of its service, as it registers itself.
package main

import (
	"net/http"
	_ "net/http/pprof"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("pprof\n")) })
	host.Serve(&http.Server{Handler: http.DefaultServeMux})
}
