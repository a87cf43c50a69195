package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gracex-go/gracex/core/wsmove"
)

const (
	writeWait  = 10 * time.Second
	pongWait   = 60 * time.Second
	pingPeriod = pongWait * 9 / 10
	maxMessage = 4 << 10
	maxQueue   = 4096 // messages; a member that does not read them is dropped
)

var upgrader = websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferSize: 1 << 10}

// member stands between a connection and the hub.
type member struct {
	hub   *hub
	conn  *websocket.Conn
	nick  string
	moved bool
	send  chan []byte // closed by the hub
}

// serve lets a member in, or in again when its connection has moved.
func (h *hub) serve(w http.ResponseWriter, r *http.Request) {
	s := wsmove.Move(r)
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // the client has its answer
	}
	m := &member{h, conn, r.URL.Query().Get("nick"), s.Moved(), make(chan []byte, maxQueue)}
	h.joins <- m
	go m.write()
	go m.read()
}

// read passes what the member says to the hub.
func (m *member) read() {
	defer func() {
		m.hub.leaves <- m
		m.conn.Close()
	}()
	m.conn.SetReadLimit(maxMessage)
	m.conn.SetReadDeadline(time.Now().Add(pongWait))
	m.conn.SetPongHandler(func(string) error { return m.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		_, message, err := m.conn.ReadMessage()
		if err != nil {
			return // for wsmove.ErrMoving, too
		}
		m.hub.messages <- fmt.Appendf(nil, "%s: %s", m.nick, message)
	}
}

// write passes what the hub has to the member.
func (m *member) write() {
	defer m.conn.Close()
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		kind, message := websocket.PingMessage, []byte(nil)
		select {
		case said, ok := <-m.send:
			if kind, message = websocket.TextMessage, said; !ok {
				kind = websocket.CloseMessage
			}
		case <-ping.C:
		}
		m.conn.SetWriteDeadline(time.Now().Add(writeWait))
		if err := m.conn.WriteMessage(kind, message); err != nil || kind == websocket.CloseMessage {
			return
		}
	}
}
