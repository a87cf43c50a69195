// Command gobwas echoes WebSocket messages by github.com/gobwas/ws. It sets an option of the TCP connection, as
// programs with many connections do.
package main

import (
	"net"
	"net/http"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		c, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil { // it has answered, and the connection is ours perhaps
			if c != nil {
				_ = c.Close()
			}
			return
		}
		if err := c.(*net.TCPConn).SetNoDelay(false); err != nil {
			_ = c.Close()
			return
		}
		go echo(c)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("gobwas\n")) })
	host.Serve(&http.Server{Handler: mux})
}

func echo(c net.Conn) {
	defer c.Close()
	for {
		b, op, err := wsutil.ReadClientData(c)
		if err != nil || wsutil.WriteServerMessage(c, op, b) != nil {
			return
		}
	}
}
