package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"github.com/gracex-go/gracex/core/wsmove"
)

// coder serves a WebSocket by github.com/coder/websocket, with compression whose window goes on from message to message
// in the direction in which that can move.
func coder(w http.ResponseWriter, r *http.Request) {
	s := wsmove.Move(r)
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 64,
	})
	if err != nil {
		return // the client has its answer
	}
	defer c.CloseNow()
	c.SetReadLimit(maxMessage)
	serve(s, coderSocket{c})
}

type coderSocket struct{ *websocket.Conn }

func (s coderSocket) read() (string, error) {
	_, message, err := s.Read(context.Background())
	return string(message), err
}

func (s coderSocket) write(message string) error {
	return s.Write(context.Background(), websocket.MessageText, []byte(message))
}
