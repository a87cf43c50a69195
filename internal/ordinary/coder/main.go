// Command coder echoes WebSocket messages by github.com/coder/websocket.
package main

import (
	"net/http"

	"github.com/coder/websocket"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", echo)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("coder\n")) })
	host.Serve(&http.Server{Handler: mux})
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer func() { _ = c.CloseNow() }()
	for {
		kind, b, err := c.Read(r.Context())
		if err != nil || c.Write(r.Context(), kind, b) != nil {
			return
		}
	}
}
