// Command expvar publishes a variable by package expvar, which registers its page itself.
package main

import (
	"expvar"
	"net/http"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	expvar.NewString("service").Set("ordinary")
	http.HandleFunc("/service", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(expvar.Get("service").String()))
	})
	host.Serve(&http.Server{Handler: http.DefaultServeMux})
}
