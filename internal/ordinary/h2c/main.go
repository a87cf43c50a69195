// Command h2c speaks HTTP/1 and HTTP/2 without TLS on one port, by http.Server.Protocols.
package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	srv := &http.Server{Protocols: new(http.Protocols)}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client has left
		}
		w.Header().Set("X-Proto", r.Proto)
		if len(b) == 0 {
			fmt.Fprintln(w, r.Proto)
			return
		}
		_, _ = w.Write(b)
	})
	host.Serve(srv)
}
