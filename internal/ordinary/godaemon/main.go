// Command godaemon puts itself into the background by github.com/sevlyar/go-daemon. The process of an upgrade is in the
// background already.
package main

import (
	"net/http"

	"github.com/sevlyar/go-daemon"

	"github.com/gracex-go/gracex/core"
	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	if !core.Upgrading() {
		background := &daemon.Context{LogFileName: "daemon.log", LogFilePerm: 0o600}
		child, err := background.Reborn()
		switch {
		case err != nil:
			host.End(err)
		case child != nil:
			return
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("godaemon\n")) })
	host.Serve(&http.Server{Handler: mux})
}
