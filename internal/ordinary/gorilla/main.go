// Command gorilla echoes WebSocket messages by github.com/gorilla/websocket.
package main

import (
	"net/http"

	"github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/internal/ordinary/host"
)

var upgrader = websocket.Upgrader{EnableCompression: true}

func main() {
	http.HandleFunc("/ws", echo)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("gorilla\n")) })
	host.Serve(&http.Server{Handler: http.DefaultServeMux})
}

func echo(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer c.Close()
	for {
		kind, b, err := c.ReadMessage()
		if err != nil || c.WriteMessage(kind, b) != nil {
			return
		}
	}
}
