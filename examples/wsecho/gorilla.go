package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/core/wsmove"
)

// silence is how long a client may be silent. It is pinged more often.
const silence = 30 * time.Second

var upgrader = websocket.Upgrader{EnableCompression: true}

// gorilla serves a WebSocket by github.com/gorilla/websocket.
func gorilla(w http.ResponseWriter, r *http.Request) {
	s := wsmove.Move(r)
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has its answer
	}
	defer c.Close()
	var mu sync.Mutex
	write := func(message string) error {
		mu.Lock()
		defer mu.Unlock()
		return c.WriteMessage(websocket.TextMessage, []byte(message))
	}
	defer count(s, write)()

	alive := func(string) error { return c.SetReadDeadline(time.Now().Add(silence)) }
	c.SetPongHandler(alive)
	alive("")
	go func() {
		for c.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)) == nil {
			time.Sleep(silence / 3)
		}
	}()
	for {
		_, message, err := c.ReadMessage()
		if err != nil || write(string(message)) != nil {
			return // for wsmove.ErrMoving, too
		}
	}
}
