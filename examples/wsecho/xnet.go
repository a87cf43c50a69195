package main

import (
	"net/http"

	"golang.org/x/net/websocket"

	"github.com/gracex-go/gracex/core/wsmove"
)

// xnet serves a WebSocket by golang.org/x/net/websocket. That takes each fragment for a message.
func xnet(w http.ResponseWriter, r *http.Request) {
	s := wsmove.Move(r)
	websocket.Server{Handler: func(c *websocket.Conn) {
		c.MaxPayloadBytes = maxMessage
		serve(s, xnetSocket{c})
	}}.ServeHTTP(w, r)
}

type xnetSocket struct{ *websocket.Conn }

func (s xnetSocket) read() (message string, err error) {
	err = websocket.Message.Receive(s.Conn, &message)
	return message, err
}

func (s xnetSocket) write(message string) error { return websocket.Message.Send(s.Conn, message) }
