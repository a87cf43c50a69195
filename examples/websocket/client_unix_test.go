//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/gracex-go/gracex/examples/internal/exampletest"
)

const (
	// window is how many messages a client sends before it has heard the first.
	window = 8
	// pause is between the parts of a message that is not sent at once.
	pause = time.Millisecond
	last  = " last"
)

// client is somebody in the room. It has one connection, and never another.
type client struct {
	nick     string
	conn     net.Conn
	in       *bufio.Reader
	greeting string

	heard  map[string]int // the number of the last message of each
	order  hash.Hash64    // of everything heard
	count  atomic.Int64   // how much that was
	talked int            // how many have said their last
}

func dial(t *testing.T, p *exampletest.Program, nick string) (*client, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, in, _, err := ws.Dial(ctx, "ws://"+p.Addr+"/?nick="+nick)
	if err != nil {
		return nil, err
	}
	if in == nil {
		in = bufio.NewReader(conn)
	}
	c := newClient(nick, conn, in)
	if c.greeting, err = c.read(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting: %w", err)
	}
	return c, nil
}

func newClient(nick string, conn net.Conn, in *bufio.Reader) *client {
	return &client{nick: nick, conn: conn, in: in, heard: make(map[string]int), order: fnv.New64a()}
}

// greeting is what a process says to who is new.
func greeting(nick string, pid, generation int) string {
	return fmt.Sprintf("* welcome, %s: process %d, generation %d", nick, pid, generation)
}

// read returns the next message; a close frame is a wsutil.ClosedError, and answered.
func (c *client) read() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	text, err := wsutil.ReadServerText(struct {
		io.Reader
		io.Writer
	}{c.in, c.conn})
	return string(text), err
}

// hear reads a message and checks that it is the one which is due.
func (c *client) hear() (nick, text string, err error) {
	message, err := c.read()
	if err != nil {
		return "", "", err
	}
	nick, text, _ = strings.Cut(message, ": ")
	number, ended := strings.CutSuffix(strings.TrimRight(text, " "), last)
	n, err := strconv.Atoi(number)
	if err != nil || n != c.heard[nick]+1 {
		return "", "", fmt.Errorf("%q after number %d", message, c.heard[nick])
	}
	c.heard[nick] = n
	fmt.Fprintln(c.order, message)
	c.count.Add(1)
	if ended {
		c.talked++
	}
	return nick, text, nil
}

// say sends a message: at once, in halves, or in fragments with a ping between them.
func (c *client) say(n int, text string) error {
	var parts [][]byte
	switch whole := masked(ws.NewTextFrame([]byte(text))); n % 4 {
	case 0:
		parts = [][]byte{
			masked(ws.NewFrame(ws.OpText, false, []byte(text[:1]))),
			masked(ws.NewPingFrame([]byte("between"))),
			masked(ws.NewFrame(ws.OpContinuation, true, []byte(text[1:]))),
		}
	case 1:
		parts = [][]byte{whole[:n%len(whole)], whole[n%len(whole):]}
	default:
		parts = [][]byte{whole}
	}
	for i, part := range parts {
		if i > 0 {
			time.Sleep(pause)
		}
		if _, err := c.conn.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// chat talks until quit is closed, and listens until all others have ended, too.
func (c *client) chat(quit <-chan struct{}, talkers int) error {
	next := 1
	for ; next <= window; next++ {
		if err := c.say(next, strconv.Itoa(next)); err != nil {
			return err
		}
	}
	for silent := false; c.talked < talkers; {
		nick, _, err := c.hear()
		if err != nil {
			return err
		}
		if silent || nick != c.nick {
			continue
		}
		text := strconv.Itoa(next)
		select {
		case <-quit:
			silent = true
			text += last
		default:
		}
		if err := c.say(next, text); err != nil {
			return err
		}
		next++
	}
	return nil
}

func masked(f ws.Frame) []byte { return ws.MustCompileFrame(ws.MaskFrameInPlace(f)) }
