package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/gracex-go/gracex/core"
)

const (
	// handoffName connects Handoff in the old process with OnHandoff in the new one.
	handoffName = "chat"
	// writeTimeout is how long a client may take to make room for a write.
	writeTimeout = 10 * time.Second
	// closeTimeout is how long a client may take to answer the close frame.
	closeTimeout = 5 * time.Second
)

var errNotText = errors.New("the message is not text")

// member is a client in the room. One goroutine reads from it, as long as the process does not drain. Another
// one alone writes to it, and says goodbye or hands the connection over when the first has ended.
type member struct {
	hub  *hub
	conn net.Conn
	nick string
	in   inbox

	lastFrame []byte // answers the client's close frame; of the reader, until it has ended

	// Guarded by hub.mu.
	sent int    // how many messages of this process it was sent, or need not be
	pong []byte // to be sent; nil if there is none
	left error  // why it is not read from any more; nil if it moves
}

// luggage is what goes along with a connection. The next process may run another
// version of the program: add fields, and do not change them.
type luggage struct {
	Nick   string `json:"nick"`
	Unread []byte `json:"unread,omitempty"`
}

func newMember(h *hub, conn net.Conn, nick string, unread []byte) *member {
	return &member{hub: h, conn: conn, nick: nick, in: inbox{client: conn, held: bytes.Clone(unread)}}
}

// adopt takes over a member from the old process.
func (h *hub) adopt(conn net.Conn, state []byte) {
	var l luggage
	if err := json.Unmarshal(state, &l); err != nil {
		slog.Error("a client came with a state that this version can't read", "error", err)
		conn.Close()
		return
	}
	m := newMember(h, conn, l.Nick, l.Unread)
	h.join(m, true)
	m.run(nil)
}

// run looks after a member that has joined until it leaves or moves.
func (m *member) run(greeting []byte) {
	defer m.conn.Close() // with the reader, if that still runs
	if err := m.write(greeting); err != nil {
		slog.Warn("dropped", "nick", m.nick, "error", err)
		return
	}
	// The reader has ended.
	if m.left != nil {
		slog.Info("left", "nick", m.nick, "why", m.left)
		m.goodbye(m.left)
		return
	}
	if err := m.handoff(); err != nil {
		slog.Info("not moved", "nick", m.nick, "error", err) // every one, when the service stops
		m.goodbye(err)
	}
}

func (m *member) handoff() error {
	state, err := json.Marshal(luggage{Nick: m.nick, Unread: m.in.held})
	if err != nil {
		return err
	}
	return core.Handoff(m.conn, handoffName, state)
}

// read reads until the client leaves or the process drains.
func (m *member) read() {
	err := m.readMessages()
	if errors.Is(err, os.ErrDeadlineExceeded) { // only drain sets one
		err = nil
	}
	m.hub.stopped(m, err)
}

func (m *member) readMessages() error {
	r := wsutil.Reader{Source: &m.in, State: ws.StateServerSide, CheckUTF8: true, OnIntermediate: m.control}
	for !m.hub.drains() {
		head, err := r.NextFrame()
		if err != nil {
			return err
		}
		switch {
		case head.OpCode.IsControl():
			if err := m.control(head, &r); err != nil {
				return err
			}
		case head.OpCode != ws.OpText:
			return errNotText
		default:
			text, err := io.ReadAll(&r) // with all its fragments
			if err != nil {
				return err
			}
			m.hub.publish(textFrame(fmt.Appendf(nil, "%s: %s", m.nick, text)))
		}
		m.in.done()
	}
	return nil
}

// control deals with a control frame, also one between the fragments of a message:
// then the next process may see it again, and a pong too many does no harm.
func (m *member) control(head ws.Header, payload io.Reader) error {
	var answer bytes.Buffer
	err := wsutil.ControlFrameHandler(&answer, ws.StateServerSide)(head, payload)
	switch {
	case err != nil:
		m.lastFrame = answer.Bytes()
	case answer.Len() > 0:
		m.hub.answer(m, answer.Bytes())
	}
	return err
}

// write sends the greeting if there is one, and what is said, until there is no more.
func (m *member) write(greeting []byte) error {
	var frames [][]byte
	if greeting != nil {
		frames = [][]byte{textFrame(greeting)}
	}
	for {
		if len(frames) > 0 {
			m.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := m.conn.Write(bytes.Join(frames, nil)); err != nil {
				return err
			}
		}
		var err error
		if frames, err = m.hub.next(m); err != nil || frames == nil {
			return err
		}
	}
}

// goodbye sends a close frame. Then it reads until the client has closed its side:
// closing a connection with bytes unread would take the frame away from the client.
func (m *member) goodbye(why error) {
	frame := m.lastFrame
	if len(frame) == 0 {
		frame = ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(statusOf(why), "")))
	}
	m.conn.SetDeadline(time.Now().Add(closeTimeout))
	m.conn.Write(frame)
	if c, ok := m.conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	io.Copy(io.Discard, m.conn)
}

func statusOf(why error) ws.StatusCode {
	switch {
	case errors.Is(why, core.ErrNotMoved):
		return ws.StatusGoingAway
	case errors.Is(why, errNotText):
		return ws.StatusUnsupportedData
	case errors.Is(why, errTooBig):
		return ws.StatusMessageTooBig
	case errors.Is(why, wsutil.ErrInvalidUTF8):
		return ws.StatusInvalidFramePayloadData
	}
	return ws.StatusProtocolError
}

func textFrame(text []byte) []byte { return ws.MustCompileFrame(ws.NewTextFrame(text)) }
