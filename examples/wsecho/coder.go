package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"

	"github.com/gracex-go/gracex/core/wsmove"
)

const maxMessage = 1 << 20

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
	write := func(message string) error {
		return c.Write(context.Background(), websocket.MessageText, []byte(message))
	}
	defer count(s, write)()
	for {
		_, message, err := c.Read(context.Background())
		if err != nil || write(string(message)) != nil {
			return // for wsmove.ErrMoving, too
		}
	}
}
