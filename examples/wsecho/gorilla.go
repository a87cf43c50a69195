package main

import (
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/core/wsmove"
)

// silence is how long a client may be silent. It is pinged more often.
const silence = 60 * time.Second

var upgrader = websocket.Upgrader{EnableCompression: true}

// gorilla serves a WebSocket by github.com/gorilla/websocket.
func gorilla(w http.ResponseWriter, r *http.Request) {
	s := wsmove.Move(r)
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has its answer
	}
	defer c.Close()
	alive := func(string) error { return c.SetReadDeadline(time.Now().Add(silence)) }
	c.SetPongHandler(alive)
	alive("")
	go func() {
		for c.WriteControl(websocket.PingMessage, nil, time.Now().Add(silence)) == nil {
			time.Sleep(silence / 3)
		}
	}()
	serve(s, &gorillaSocket{Conn: c})
}

type gorillaSocket struct {
	*websocket.Conn
	mu sync.Mutex // held by write
}

func (s *gorillaSocket) read() (string, error) {
	_, message, err := s.ReadMessage()
	return string(message), err
}

func (s *gorillaSocket) write(message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.WriteMessage(websocket.TextMessage, []byte(message))
}
