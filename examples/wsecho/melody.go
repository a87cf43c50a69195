package main

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/olahol/melody"

	"github.com/gracex-go/gracex/core/wsmove"
)

// maxQueue is how many messages wait for a client. More are thrown away.
const maxQueue = 4096

// melodyHandler serves WebSockets by github.com/olahol/melody. That calls back, and writes from a queue.
func melodyHandler() http.HandlerFunc {
	m := melody.New()
	m.Upgrader.EnableCompression = true
	m.Config.MaxMessageSize = maxMessage
	m.Config.MessageBufferSize = maxQueue
	m.HandleConnect(func(c *melody.Session) { melodyState(c).count(c) })
	m.HandleDisconnect(func(c *melody.Session) { melodyState(c).stop() })
	m.HandleMessage(func(c *melody.Session, message []byte) { c.Write(message) })
	m.HandleSentMessage(func(c *melody.Session, message []byte) { melodyState(c).hasSent(string(message)) })
	return func(w http.ResponseWriter, r *http.Request) {
		state := &melodyCount{session: wsmove.Move(r)}
		m.HandleRequestWithKeys(w, r, map[string]any{"count": state})
	}
}

// melodyCount has the numbers that a client gets. What is in melody's queue when the connection moves is lost, so those
// count that were sent.
type melodyCount struct {
	session *wsmove.Session
	sent    atomic.Int64
	stop    func()
}

func melodyState(c *melody.Session) *melodyCount { return c.MustGet("count").(*melodyCount) }

func (n *melodyCount) count(c *melody.Session) {
	next, _ := strconv.ParseInt(string(n.session.State()), 10, 64)
	n.sent.Store(next)
	n.stop = count(n.session, func(message string) error { return c.Write([]byte(message)) })
	n.session.OnMove(func() []byte { return strconv.AppendInt(nil, n.sent.Load(), 10) })
}

func (n *melodyCount) hasSent(message string) {
	if strings.HasPrefix(message, numberPrefix) {
		n.sent.Add(1)
	}
}
